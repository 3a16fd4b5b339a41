# Instruction sets. One binary holds code for exactly one of them: linking several into one binary
# merges template instantiations, and the survivor may not run on the processor at hand.
#
# Sets fomaml_fast_isas, the list to build, and fomaml_fast_runnable, what this machine runs; both
# best first.

set(x86_isas x86_64_v4 x86_64_v3 x86_64_v2)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(known_isas ${x86_isas} generic)
  set(all_isas ${x86_isas})
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(known_isas neon generic)
  set(all_isas neon)
else()
  set(known_isas generic)
  set(all_isas generic)
endif()

# Compiler flags of one instruction set, into the variable `out`.
function(fomaml_fast_isa_flags isa out)
  set(flags "")
  if(isa STREQUAL "x86_64_v4")
    # Full-width vectors: the kernels are written for them.
    set(flags -march=x86-64-v4 -mprefer-vector-width=512)
  elseif(isa MATCHES "^x86_64_(v[23])$")
    set(flags -march=x86-64-${CMAKE_MATCH_1})
  endif() # neon: the aarch64 baseline; generic: the compiler's default
  set(${out} "${flags}" PARENT_SCOPE)
endfunction()

# The loader's own table answers what this machine runs, so the two cannot disagree.
set(fomaml_fast_runnable generic)
if(CMAKE_CROSSCOMPILING AND CMAKE_CROSSCOMPILING_EMULATOR)
  set(fomaml_fast_runnable ${known_isas}) # emulators have every feature that they know
elseif(CMAKE_CROSSCOMPILING OR NOT Python_EXECUTABLE)
  message(STATUS "Cannot ask this machine for its instruction sets: native means 'generic'")
else()
  execute_process(
    COMMAND "${Python_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/python/fomaml_fast/_cpu.py"
    OUTPUT_VARIABLE fomaml_fast_runnable OUTPUT_STRIP_TRAILING_WHITESPACE
    COMMAND_ERROR_IS_FATAL ANY)
endif()

if(FOMAML_FAST_ISAS STREQUAL "native")
  list(GET fomaml_fast_runnable 0 fomaml_fast_isas)
elseif(FOMAML_FAST_ISAS STREQUAL "all")
  set(fomaml_fast_isas ${all_isas})
else()
  set(fomaml_fast_isas ${FOMAML_FAST_ISAS})
  foreach(isa IN LISTS fomaml_fast_isas)
    if(NOT isa IN_LIST known_isas)
      list(JOIN known_isas ", " text)
      message(FATAL_ERROR "FOMAML_FAST_ISAS: '${isa}' is not one of native, all, ${text}")
    endif()
  endforeach()
endif()
