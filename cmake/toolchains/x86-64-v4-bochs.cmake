# x86-64-v4 (AVX-512) on processors without it: the machine's own compiler, and Bochs, which
# emulates a whole computer, to run what it makes.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)

foreach(program bochs busybox cpio grub-mkrescue xorriso mformat)
  find_program(FOMAML_FAST_PROGRAM_${program} ${program})
  if(NOT FOMAML_FAST_PROGRAM_${program})
    message(FATAL_ERROR "${program} not found (Debian: bochs bochsbios vgabios busybox-static cpio "
      "grub-pc-bin grub-common xorriso mtools)")
  endif()
endforeach()
set(kernel "$ENV{FOMAML_FAST_KERNEL}")
if(NOT kernel)
  file(GLOB kernels "/boot/vmlinuz-*")
  list(APPEND kernels NOTFOUND)
  list(GET kernels 0 kernel) # any that boots will do
endif()
if(NOT EXISTS "${kernel}")
  message(FATAL_ERROR "No Linux to boot in /boot (Debian: linux-image-cloud-amd64); "
    "FOMAML_FAST_KERNEL may name one")
endif()

set(CMAKE_CROSSCOMPILING_EMULATOR "${CMAKE_CURRENT_LIST_DIR}/run-in-bochs;${kernel}")
