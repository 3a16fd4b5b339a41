# What the build stands on. Wheels are built with Eigen and pybind11 from PyPI (the build
# requirements of pyproject.toml); a plain CMake build finds the same packages in the
# site-packages of its Python, or Debian's.

if(FOMAML_FAST_BUILD_PYTHON)
  find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
else()
  # Only asked for the instruction sets and for where packages are.
  find_package(Python 3.10 COMPONENTS Interpreter)
endif()

# Python_SITELIB is the installation's; packages of a user or of a layered environment are on the
# interpreter's own path.
set(site_packages "")
if(Python_EXECUTABLE)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "import sys; print(*filter(None, sys.path), sep=';')"
    OUTPUT_VARIABLE site_packages OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()

# No version range: Debian's 3.4.0 rejects one.
find_package(Eigen3 3.4 REQUIRED CONFIG
  HINTS ${site_packages}
  PATH_SUFFIXES cmeel.prefix/share/eigen3/cmake)

if(FOMAML_FAST_BUILD_PYTHON)
  find_package(pybind11 3.0 REQUIRED CONFIG
    HINTS ${site_packages}
    PATH_SUFFIXES pybind11/share/cmake/pybind11)
endif()

# fomaml_fast::threads carries what base/parallel needs; nothing else may use it.
add_library(fomaml_fast_threads INTERFACE)
add_library(fomaml_fast::threads ALIAS fomaml_fast_threads)
set(fomaml_fast_threads "${FOMAML_FAST_THREADS}")
if(fomaml_fast_threads STREQUAL "openmp")
  find_package(OpenMP COMPONENTS CXX)
  if(NOT OpenMP_CXX_FOUND)
    message(STATUS "The compiler has no OpenMP: threads come from std::thread")
    set(fomaml_fast_threads "std")
  endif()
endif()
if(fomaml_fast_threads STREQUAL "openmp")
  target_link_libraries(fomaml_fast_threads INTERFACE OpenMP::OpenMP_CXX)
  target_compile_definitions(fomaml_fast_threads INTERFACE FOMAML_FAST_THREADS_OPENMP)
elseif(fomaml_fast_threads STREQUAL "std")
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED)
  target_link_libraries(fomaml_fast_threads INTERFACE Threads::Threads)
  target_compile_definitions(fomaml_fast_threads INTERFACE FOMAML_FAST_THREADS_STD)
elseif(fomaml_fast_threads STREQUAL "none")
  target_compile_definitions(fomaml_fast_threads INTERFACE FOMAML_FAST_THREADS_NONE)
else()
  message(FATAL_ERROR "FOMAML_FAST_THREADS is '${FOMAML_FAST_THREADS}', not openmp, std or none")
endif()
