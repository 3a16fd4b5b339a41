// Workspaces: allocated once, checked out per call, so that a warm call allocates nothing.
#pragma once

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// A block of memory that returns to a bounded pool when it goes out of scope.
class Workspace {
 public:
  /// The smallest pooled block of at least `bytes`, or a new one; `memory()` is null if neither
  /// can be had. Concurrent calls get blocks of their own.
  static Workspace checkout(std::size_t bytes);

  Workspace(Workspace&& other) noexcept : memory_(other.memory_), bytes_(other.bytes_) {
    other.memory_ = nullptr;
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  Workspace& operator=(Workspace&&) = delete;
  ~Workspace();

  [[nodiscard]] std::byte* memory() const { return memory_; }

 private:
  Workspace(std::byte* memory, std::size_t bytes) : memory_(memory), bytes_(bytes) {}
  std::byte* memory_;
  std::size_t bytes_;
};

}  // namespace FOMAML_FAST_NAMESPACE
