// Numbers of single tasks out of packs that hold one of each.
#pragma once

#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Of task i of a group; a number that is no pack is its only task's.
template <class V>
Element<V> number_of(V pack, int i) {
  if constexpr (is_scalar_pack<V>) {
    (void)i;
    return pack;
  } else {
    return pack[i];
  }
}

/// to[i] = the number of task i, for the first `count` tasks.
template <class V>
void write_numbers(V pack, int count, Element<V>* to) {
  for (int i = 0; i < count; ++i) to[i] = number_of(pack, i);
}

}  // namespace FOMAML_FAST_NAMESPACE
