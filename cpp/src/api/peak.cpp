#include "api/peak.hpp"

#include <chrono>

#include "base/parallel.hpp"
#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

// Enough independent chains to hide the latency of a multiply-add on two ports, and few enough for
// sixteen registers.
constexpr int kChains = 12;
constexpr int kRepeats = 2000;

template <class T>
Vec<T> burst(Vec<T> factor) {
  Vec<T> sums[kChains];
  for (int c = 0; c < kChains; ++c) sums[c] = factor * static_cast<T>(c);
  for (int i = 0; i < kRepeats; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sums[c] = sums[c] * factor + factor;
  }
  Vec<T> total{};
  for (int c = 0; c < kChains; ++c) total += sums[c];
  return total;
}

}  // namespace

template <class T>
double multiply_add_gflops(int workers, int milliseconds) {
  using Clock = std::chrono::steady_clock;
  std::atomic<std::int64_t> bursts{0};
  std::atomic<T> sink{0};
  const auto start = Clock::now(), end = start + std::chrono::milliseconds(milliseconds);
  parallel::run(workers, {}, [&](Team&) {
    Vec<T> factor = broadcast<Vec<T>>(T(0.5));
    std::int64_t mine = 0;
    while (Clock::now() < end) {
      factor += burst<T>(factor) * T(0);
      ++mine;
    }
    bursts += mine;
    sink.store(factor[0]);
  });
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return static_cast<double>(bursts.load()) * kRepeats * kChains * 2 * kLanes<T> / seconds * 1e-9;
}

template double multiply_add_gflops<float>(int, int);
template double multiply_add_gflops<double>(int, int);

}  // namespace FOMAML_FAST_NAMESPACE::api
