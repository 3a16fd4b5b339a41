// Sums of many tasks' meta-gradients: a partial sum for every block of tasks, whoever forms it, and
// the partial sums added in the order of their blocks.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// In an engine's layout: the meta-gradient, then, where rates are learned, that of the rates.
template <class T>
struct PartialSums {
  T* values = nullptr;  ///< [blocks, size]
  T* errors = nullptr;  ///< the same: what adding up many tasks has lost; null without
  Index blocks = 0;
  Index size = 0;
  bool has_errors = false;  ///< also while an arena counts, which gives null for everything

  /// Of `units` tasks, or groups of tasks. What is not a meta-gradient has no sums.
  static PartialSums carve(const Problem& problem, Index units, Index parameters, Index rates,
                           Arena& arena, bool with_errors = false) {
    if (problem.operation != Operation::meta_gradient) return {};
    const Index size = parameters + (problem.algorithm.learns_rates ? rates : 0);
    const Index blocks = problem.partial_sums(units);
    T* const values = arena.take<T>(blocks * size);
    T* const errors = with_errors ? arena.take<T>(blocks * size) : nullptr;
    return {values, errors, blocks, size, with_errors};
  }

  [[nodiscard]] T* of_block(Index block) const { return values + block * size; }
  [[nodiscard]] T* errors_of(Index block) const {
    return errors == nullptr ? nullptr : errors + block * size;
  }
  void clear(Index block) const {
    std::fill_n(of_block(block), size, T(0));
    if (errors != nullptr) std::fill_n(errors_of(block), size, T(0));
  }

  /// After all blocks: calls write(sums, first, end) with `scale` times the sums of numbers
  /// `first` … `end` - 1, on any worker.
  template <class Write>
  void reduce(Team& team, T scale, Write&& write) const {
    constexpr Index kChunk = 512;  // a multiple of the vector, as packed parameters are
    team.barrier();
    team.share((size + kChunk - 1) / kChunk, [&](Index chunk) {
      const Index first = chunk * kChunk, count = std::min(kChunk, size - first);
      T sums[kChunk], lost[kChunk]{};
      std::copy_n(values + first, count, sums);
      for (Index block = 1; block < blocks; ++block) {
        const T* const partial = of_block(block) + first;
        if (blocks > kBlockTerms) {
          add_compensated(partial, count, T(1), sums, lost);
        } else {
          for (Index i = 0; i < count; ++i) sums[i] += partial[i];
        }
      }
      for (Index i = 0; i < count; ++i) sums[i] *= scale;
      write(sums, first, first + count);
    });
  }

  /// The same, left in place of the first block's, for all workers to read.
  T* reduce_in_place(Team& team, T scale) const {
    reduce(team, scale, [&](const T* sums, Index first, Index end) {
      std::copy_n(sums, end - first, values + first);
    });
    team.barrier();
    return values;
  }
};

}  // namespace FOMAML_FAST_NAMESPACE
