# x86-64-v4 (AVX-512) on processors without it: the machine's own compiler, and Bochs, which
# emulates a whole computer, to run what it makes.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)

foreach(program bochs busybox cpio grub-mkrescue xorriso)
  find_program(FOMAML_FAST_PROGRAM_${program} ${program})
  if(NOT FOMAML_FAST_PROGRAM_${program})
    message(FATAL_ERROR "${program} not found (Debian: bochs bochsbios vgabios busybox-static cpio "
      "grub-pc-bin grub-common xorriso mtools)")
  endif()
endforeach()
file(GLOB kernels "/boot/vmlinuz-*")
list(GET kernels 0 kernel)
set(FOMAML_FAST_KERNEL "${kernel}" CACHE FILEPATH "Linux that Bochs boots")
if(NOT EXISTS "${FOMAML_FAST_KERNEL}")
  message(FATAL_ERROR "No Linux in /boot (Debian: linux-image-cloud-amd64), nor FOMAML_FAST_KERNEL")
endif()
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FOMAML_FAST_KERNEL)

set(CMAKE_CROSSCOMPILING_EMULATOR "${CMAKE_CURRENT_LIST_DIR}/run-in-bochs;${FOMAML_FAST_KERNEL}")
