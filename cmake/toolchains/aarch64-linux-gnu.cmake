# 64-bit ARM from another processor: Debian's cross compiler, and qemu's user-mode emulation to run
# what it makes.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

find_program(FOMAML_FAST_CROSS_CXX aarch64-linux-gnu-g++)
find_program(FOMAML_FAST_EMULATOR NAMES qemu-aarch64-static qemu-aarch64)
if(NOT FOMAML_FAST_CROSS_CXX)
  message(FATAL_ERROR "aarch64-linux-gnu-g++ not found (Debian: g++-aarch64-linux-gnu)")
elseif(NOT FOMAML_FAST_EMULATOR)
  message(FATAL_ERROR "qemu-aarch64 not found (Debian: qemu-user-static)")
endif()

set(CMAKE_CXX_COMPILER "${FOMAML_FAST_CROSS_CXX}")
set(CMAKE_CROSSCOMPILING_EMULATOR "${FOMAML_FAST_EMULATOR};-L;/usr/aarch64-linux-gnu")
