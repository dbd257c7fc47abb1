# Says at the end of configuring what was found.
message(STATUS "libdlcuda ${PROJECT_VERSION}, ${CMAKE_BUILD_TYPE}")
message(STATUS "  CUDA backend: ${DLCUDA_WITH_CUDA} (${DLCUDA_CUDA_REASON})")
message(STATUS "  oneDNN: ${DNNL_LIBRARY}")
message(STATUS "  ccache: ${DLCUDA_CCACHE}")
if(DLCUDA_SANITIZE)
  message(STATUS "  sanitizers: ${DLCUDA_SANITIZE}")
endif()
