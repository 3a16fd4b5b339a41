// A bump allocator over memory that somebody else owns.
//
// Every workspace is carved twice by the same code: once from an empty arena, which only counts,
// and once from the real memory. The size is therefore known before the run and cannot disagree
// with what the run takes.
#pragma once

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

class Arena {
 public:
  static constexpr std::size_t kAlignment = kLineBytes;

  Arena() = default;
  explicit Arena(std::byte* memory) : memory_(memory) {}

  /// `count` elements, aligned and NOT initialised; null while counting.
  template <class T>
  T* take(Index count) {
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    std::byte* taken = memory_ == nullptr ? nullptr : memory_ + used_;
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<T*>(taken);
  }

  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] bool counting() const { return memory_ == nullptr; }

 private:
  std::byte* memory_ = nullptr;
  std::size_t used_ = 0;
};

/// Places of the arenas of a call's workers: behind the buffers that all workers share, and far
/// from each other.
class WorkerArenas {
 public:
  /// `shared`: bytes that all workers share. `each`: bytes of one worker alone.
  WorkerArenas(std::size_t shared, std::size_t each) : shared_(shared), each_(each) {}

  [[nodiscard]] Arena of(int worker, std::byte* memory) const {
    return Arena(memory + place(worker));
  }
  /// Bytes of the whole workspace; there is at least one worker.
  [[nodiscard]] std::size_t bytes(int workers) const { return place(workers - 1) + each_; }

 private:
  // Processors fetch ahead along the strides they see, past the end of a matrix. Lines fetched from
  // a neighbour's memory are taken away from the neighbour that writes them (docs/notebook.md).
  // Shared buffers are written once a call, so a page between is enough for them.
  static constexpr std::size_t kAfterShared = std::size_t{4} << 10, kApart = std::size_t{128} << 10;

  [[nodiscard]] std::size_t place(int worker) const {
    return shared_ + kAfterShared + static_cast<std::size_t>(worker) * (each_ + kApart);
  }

  std::size_t shared_, each_;
};

}  // namespace FOMAML_FAST_NAMESPACE
