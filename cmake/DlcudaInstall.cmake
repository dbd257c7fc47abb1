# Installs the two libraries, the public headers, the CMake package and dlcuda.pc. The result can be moved: nothing in
# it names the folder it was installed to.
include(CMakePackageConfigHelpers)

# Headers that stay behind: they include libraries that are no part of the interface, or describe the inside of a room.
# tests/checks/installed_headers.sh compiles each of the others on its own.
set(DLCUDA_INTERNAL_HEADERS
    "^core/(capture|check|label_fault)\\.h$" # fmt
    "^core/memory/(allocator_impl|block|pointer_table|trace_recorder)\\.h$"
    "^core/(profile_recording|transfer)\\.h$"
    "^kernels/profiled_op\\.h$"
    "^kernels/(axis_layout|checks|conv2d_checks|conv2d_epilogue)\\.h$" # fmt
    "^kernels/(dispatch|plan_cache|walk)\\.h$"
    "^layers/(recording|state_loader)\\.h$"
    "^data/(byte_source|digit_shapes|glyphs|image_codecs|shape_outlines)\\.h$"
    "^models/(configured|images|resnet/pairs)\\.h$"
    "^train/(command_line|planning|svg)\\.h$"
    "^tools/"
    "/(cpu|cuda|functors)/" # the two sides of a kernel family, and the maths that they share
)

foreach(room core kernels layers optim data train models tools)
  file(GLOB_RECURSE headers RELATIVE "${PROJECT_SOURCE_DIR}" CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${room}/*.h")
  foreach(internal ${DLCUDA_INTERNAL_HEADERS})
    list(FILTER headers EXCLUDE REGEX "${internal}")
  endforeach()
  foreach(header ${headers})
    cmake_path(GET header PARENT_PATH folder)
    install(FILES "${PROJECT_SOURCE_DIR}/${header}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/dlcuda/${folder}")
  endforeach()
endforeach()

# The shared library needs nothing else; what the static one needs is looked for only when it is asked for, so the two
# are exported apart.
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/dlcuda")
install(TARGETS dlcuda EXPORT dlcudaTargets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS dlcuda_static EXPORT dlcudaStaticTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT dlcudaTargets NAMESPACE dlcuda:: DESTINATION "${package_dir}")
install(EXPORT dlcudaStaticTargets NAMESPACE dlcuda:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/dlcudaConfig.cmake.in "${PROJECT_BINARY_DIR}/package/dlcudaConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/dlcudaConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/package/dlcudaConfig.cmake" "${PROJECT_BINARY_DIR}/package/dlcudaConfigVersion.cmake"
        DESTINATION "${package_dir}")

# dlcuda.pc finds its prefix from where it lies.
file(RELATIVE_PATH DLCUDA_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" DLCUDA_PC_PREFIX "${DLCUDA_PC_PREFIX}")
configure_file(cmake/dlcuda.pc.in "${PROJECT_BINARY_DIR}/package/dlcuda.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/package/dlcuda.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
