# The library is assembled from object libraries, so that the same host objects serve three backends:
#
#   dlcuda_host    everything that runs on the CPU, without conditional compilation
#   dlcuda_device  the CUDA side: real .cu files, or the stub that throws "built without CUDA"
#   (tests/hostcuda adds a third: the same .cu files compiled by the host compiler against a shim)
#
# Folders add to them with the functions below.

add_library(dlcuda_host OBJECT)
add_library(dlcuda_device OBJECT)
set(DLCUDA_PRIVATE_LIBS OpenMP::OpenMP_CXX Threads::Threads fmt::fmt ZLIB::ZLIB JPEG::JPEG PNG::PNG
                        dlcuda_dnnl ${CMAKE_DL_LIBS})

foreach(target dlcuda_host dlcuda_device)
  target_link_libraries(
    ${target} PRIVATE dlcuda_flags ${DLCUDA_PRIVATE_LIBS} nlohmann_json::nlohmann_json CLI11::CLI11)
endforeach()
set_property(GLOBAL PROPERTY DLCUDA_DEVICE_SOURCES "")

# dlcuda_sources(a.cpp ...): host code.
function(dlcuda_sources)
  target_sources(dlcuda_host PRIVATE ${ARGN})
endfunction()

# dlcuda_level_sources(LEVEL a.cpp ...): CPU loops for one level, in a namespace of its name: x86-64's v2, v3 or v4, or
# amx, which is v4 and the tile registers that few processors have.
function(dlcuda_level_sources level)
  if(NOT TARGET dlcuda_loops_${level})
    set(machine -march=x86-64-${level})
    if(level STREQUAL "amx")
      set(machine -march=x86-64-v4 -mavx512bf16 -mamx-tile -mamx-bf16)
    endif()
    add_library(dlcuda_loops_${level} OBJECT)
    target_link_libraries(dlcuda_loops_${level} PRIVATE dlcuda_flags OpenMP::OpenMP_CXX)
    target_compile_definitions(dlcuda_loops_${level} PRIVATE DLCUDA_ISA=${level})
    target_compile_options(dlcuda_loops_${level} PRIVATE ${machine} -fno-math-errno -fno-trapping-math)
    if(level MATCHES "v4|amx")
      target_compile_options(dlcuda_loops_${level} PRIVATE -mprefer-vector-width=512)
    endif()
    # v2 is for processors from before 2013: they are served, in a third of the space.
    if(CMAKE_BUILD_TYPE STREQUAL "Release")
      target_compile_options(dlcuda_loops_${level} PRIVATE $<IF:$<STREQUAL:${level},v2>,-O2,-O3>)
    endif()
    set_property(GLOBAL APPEND PROPERTY DLCUDA_OBJECT_TARGETS dlcuda_loops_${level})
  endif()
  target_sources(dlcuda_loops_${level} PRIVATE ${ARGN})
endfunction()

# dlcuda_loop_sources(a.cpp ...): CPU loops, built once for each x86-64 level; core/isa.h chooses at run time.
function(dlcuda_loop_sources)
  foreach(level ${DLCUDA_LOOP_LEVELS})
    dlcuda_level_sources(${level} ${ARGN})
  endforeach()
endfunction()

# dlcuda_device_sources(a.cu b.cpp ... [LIBRARY d.cpp ...] [STUB e.cpp ...])
#   plain sources: compiled by nvcc (or as C++ with CUDA's headers), and again by the host compiler
#   against the shim in tests/hostcuda
#   LIBRARY: calls cuDNN, cuBLASLt or NVTX; the shim replaces it by naive loops or notes of the same stem
#   STUB: used instead of all of them when CUDA is off
function(dlcuda_device_sources)
  cmake_parse_arguments(arg "" "" "LIBRARY;STUB" ${ARGN})
  list(TRANSFORM arg_UNPARSED_ARGUMENTS PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  set_property(GLOBAL APPEND PROPERTY DLCUDA_DEVICE_SOURCES ${arg_UNPARSED_ARGUMENTS})
  if(DLCUDA_WITH_CUDA)
    list(TRANSFORM arg_LIBRARY PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
    target_sources(dlcuda_device PRIVATE ${arg_UNPARSED_ARGUMENTS} ${arg_LIBRARY})
  else()
    list(TRANSFORM arg_STUB PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
    target_sources(dlcuda_device PRIVATE ${arg_STUB})
  endif()
endfunction()

if(DLCUDA_WITH_CUDA)
  target_include_directories(dlcuda_device SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE_DIR}
                                                          ${CUBLASLT_INCLUDE_DIR} ${CUDNN_FRONTEND_INCLUDE_DIR})
  target_compile_options(
    dlcuda_device PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr --expt-extended-lambda -lineinfo
                          -Xcompiler=-Wall,-Wextra,-Werror>)
  # fmt 9 takes nvcc for a compiler without constexpr, and then contradicts itself.
  target_compile_definitions(dlcuda_device PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>)
  list(APPEND DLCUDA_PRIVATE_LIBS CUDA::cudart_static)
endif()

# Before 1.0 every minor version may change the ABI, so it belongs to the name.
set(DLCUDA_SOVERSION ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(DLCUDA_SOVERSION 0.${PROJECT_VERSION_MINOR})
endif()

# Called once all folders have added their sources.
function(dlcuda_finish_library)
  get_property(objects GLOBAL PROPERTY DLCUDA_OBJECT_TARGETS)
  list(REMOVE_DUPLICATES objects)
  set(host_objects $<TARGET_OBJECTS:dlcuda_host>)
  foreach(target ${objects})
    list(APPEND host_objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  set_property(GLOBAL PROPERTY DLCUDA_HOST_OBJECTS ${host_objects})

  add_library(dlcuda SHARED ${host_objects} $<TARGET_OBJECTS:dlcuda_device>)
  add_library(dlcuda_static STATIC ${host_objects} $<TARGET_OBJECTS:dlcuda_device>)
  set_target_properties(dlcuda PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${DLCUDA_SOVERSION}
                                          LINKER_LANGUAGE CXX LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/exports.map")
  target_link_options(dlcuda PRIVATE "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map")
  set_target_properties(dlcuda_static PROPERTIES OUTPUT_NAME dlcuda LINKER_LANGUAGE CXX EXPORT_NAME static)
  target_link_libraries(dlcuda PRIVATE ${DLCUDA_PRIVATE_LIBS})
  target_link_libraries(dlcuda_static PRIVATE ${DLCUDA_PRIVATE_LIBS})
  foreach(target dlcuda dlcuda_static)
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
                                                $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  endforeach()
  add_library(dlcuda::dlcuda ALIAS dlcuda)
  add_library(dlcuda::static ALIAS dlcuda_static)
endfunction()

# dlcuda_tool(name a.cpp ...): a program of ours, linked with the library as it is installed. Its sources are kept in
# a global property, so that the host shim can link the same program a second time.
function(dlcuda_tool name)
  list(TRANSFORM ARGN PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" OUTPUT_VARIABLE sources)
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE dlcuda_flags dlcuda fmt::fmt CLI11::CLI11 nlohmann_json::nlohmann_json)
  set_property(GLOBAL APPEND PROPERTY DLCUDA_TOOLS ${name})
  set_property(GLOBAL PROPERTY DLCUDA_TOOL_${name} ${sources})
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()
