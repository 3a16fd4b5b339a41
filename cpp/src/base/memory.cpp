#include "base/memory.hpp"

#include <array>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <new>
#include <utility>

#include "base/arena.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace FOMAML_FAST_NAMESPACE {

namespace {

// Workspaces that the pool keeps: enough for the concurrent calls of most programs. A workspace
// that finds no place in the pool is freed on return.
constexpr std::size_t kPooled = 8;
// Workspaces of this size or more take huge pages, which spare the TLB.
constexpr std::size_t kHugePage = std::size_t{2} << 20;

struct Block {
  std::byte* memory = nullptr;
  std::size_t bytes = 0;
};

struct Pool {
  std::mutex mutex;
  std::array<Block, kPooled> blocks{};
};

Pool& pool() {
  // Never destroyed: a thread may still return a block while the process ends.
  alignas(Pool) static std::byte storage[sizeof(Pool)];
  static Pool* const instance = new (storage) Pool;
  return *instance;
}

Block allocate(std::size_t bytes) {
  if (bytes > std::size_t{std::numeric_limits<std::ptrdiff_t>::max()}) return {};
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : Arena::kAlignment;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
#if defined(__linux__)
  if (memory != nullptr && alignment == kHugePage) madvise(memory, rounded, MADV_HUGEPAGE);
#endif
  return {static_cast<std::byte*>(memory), rounded};
}

}  // namespace

Workspace Workspace::checkout(std::size_t bytes) {
  if (bytes == 0) bytes = Arena::kAlignment;
  Pool& shared = pool();
  {
    const std::lock_guard lock(shared.mutex);
    Block* best = nullptr;
    for (Block& block : shared.blocks) {
      if (block.memory == nullptr || block.bytes < bytes) continue;
      if (best == nullptr || block.bytes < best->bytes) best = &block;
    }
    if (best != nullptr) {
      const Block taken = *best;
      *best = {};
      return {taken.memory, taken.bytes};
    }
  }
  const Block fresh = allocate(bytes);
  return {fresh.memory, fresh.bytes};
}

Workspace::~Workspace() {
  if (memory_ == nullptr) return;
  Block surplus{memory_, bytes_};
  Pool& shared = pool();
  {
    const std::lock_guard lock(shared.mutex);
    // An empty place takes the block. Without one the smallest block is freed, since a larger block
    // serves more calls.
    Block* place = nullptr;
    for (Block& block : shared.blocks) {
      if (place == nullptr || block.bytes < place->bytes) place = &block;
    }
    if (place->bytes < surplus.bytes) std::swap(*place, surplus);
  }
  std::free(surplus.memory);
}

}  // namespace FOMAML_FAST_NAMESPACE
