# The core and its Python modules, once per instruction set.

file(GLOB_RECURSE core_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cpp/src/*.cpp")
file(GLOB binding_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cpp/bindings/*.cpp")

include(registries)
set(generated_dir "${PROJECT_BINARY_DIR}/generated")
fomaml_fast_generate_registries("${PROJECT_SOURCE_DIR}/cpp/src" "${generated_dir}")

# Options of every C++ file of the project.
add_library(fomaml_fast_common INTERFACE)
target_include_directories(fomaml_fast_common INTERFACE
  "${PROJECT_SOURCE_DIR}/cpp/src" "${generated_dir}")
target_compile_definitions(fomaml_fast_common INTERFACE
  FOMAML_FAST_VERSION="${FOMAML_FAST_VERSION}"
  EIGEN_DONT_PARALLELIZE) # base/parallel alone starts threads
target_compile_options(fomaml_fast_common INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
  -Wno-psabi # vector types never cross a binary's boundary
  # Copies of the kernels' loops for strides of 1: larger, no faster, and the asking takes its time.
  $<$<CXX_COMPILER_ID:GNU>:-fno-version-loops-for-strides>)
if(FOMAML_FAST_REGISTERS MATCHES "^([0-9]+)x([0-9]+)$")
  target_compile_definitions(fomaml_fast_common INTERFACE
    FOMAML_FAST_VECTOR_REGISTERS=${CMAKE_MATCH_1} FOMAML_FAST_VECTOR_BYTES=${CMAKE_MATCH_2})
elseif(FOMAML_FAST_REGISTERS)
  message(FATAL_ERROR "FOMAML_FAST_REGISTERS: '${FOMAML_FAST_REGISTERS}' is not like 32x64")
endif()
if(FOMAML_FAST_WERROR)
  target_compile_options(fomaml_fast_common INTERFACE -Werror)
endif()
if(FOMAML_FAST_SANITIZE)
  set(sanitize "-fsanitize=${FOMAML_FAST_SANITIZE}")
  # Lines are what reports name; variables, as -g has them, take two fifths of g++'s time.
  target_compile_options(fomaml_fast_common INTERFACE
    ${sanitize} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(fomaml_fast_common INTERFACE ${sanitize})
endif()
# Eigen's own warnings are not ours.
get_target_property(eigen_include Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
target_include_directories(fomaml_fast_common SYSTEM INTERFACE ${eigen_include})
target_link_libraries(fomaml_fast_common INTERFACE fomaml_fast::threads)

# fomaml_fast_isa_<isa>: namespace and flags; whoever includes a core header links to this.
# fomaml_fast_core_<isa>: the objects of the core.
function(fomaml_fast_add_core isa)
  fomaml_fast_isa_flags(${isa} isa_flags)
  add_library(fomaml_fast_isa_${isa} INTERFACE)
  target_link_libraries(fomaml_fast_isa_${isa} INTERFACE fomaml_fast_common)
  target_compile_options(fomaml_fast_isa_${isa} INTERFACE ${isa_flags})
  if(isa STREQUAL "x86_64_v4" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's own AVX-512 intrinsics trip these (GCC bug 105593); the other builds still warn.
    target_compile_options(fomaml_fast_isa_${isa} INTERFACE
      -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
  target_compile_definitions(fomaml_fast_isa_${isa} INTERFACE
    FOMAML_FAST_NAMESPACE=fomaml_fast_${isa}
    FOMAML_FAST_ISA_NAME="${isa}"
    FOMAML_FAST_MODULE=_core_${isa})

  add_library(fomaml_fast_core_${isa} OBJECT ${core_sources})
  target_link_libraries(fomaml_fast_core_${isa} PUBLIC fomaml_fast_isa_${isa})
  # Errors are status codes. Divergence is found by looking at results, so infinities and NaN keep
  # their meaning (no -ffast-math); only errno and trap ordering are given up.
  target_compile_options(fomaml_fast_core_${isa} PRIVATE
    $<$<CONFIG:Release>:-O3> -fno-exceptions -fno-rtti -fno-math-errno -fno-trapping-math)
endfunction()

function(fomaml_fast_add_module isa)
  # NO_EXTRAS: link-time optimisation of the bindings costs build time and gains nothing.
  pybind11_add_module(_core_${isa} MODULE NO_EXTRAS ${binding_sources})
  target_link_libraries(_core_${isa} PRIVATE fomaml_fast_core_${isa} fomaml_fast_isa_${isa})
  # pybind11's templates cost ten seconds a file; compiled as one, all files share them.
  set_target_properties(_core_${isa} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
  install(TARGETS _core_${isa} LIBRARY DESTINATION fomaml_fast COMPONENT python)
endfunction()
