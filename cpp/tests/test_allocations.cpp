// A warm call of the core allocates nothing: the fast engines, and the reference at small sizes.
#include <atomic>
#include <cstddef>
#include <cstring>
#include <vector>

#include "api/engines.hpp"
#include "api/run.hpp"
#include "check.hpp"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef COUNTS_ALLOCATIONS
#endif
#endif
#endif

namespace {
std::atomic<long> allocations{0};
}

#ifdef COUNTS_ALLOCATIONS
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
}
#endif

using namespace FOMAML_FAST_NAMESPACE;

namespace {

template <class T>
void warm_calls_allocate_nothing(Operation operation, Flow flow, InnerId optimizer = InnerId::sgd,
                                 inner::Prior prior = inner::Prior::none) {
  Problem problem;
  problem.operation = operation;
  problem.net.depth = 3;
  problem.net.sizes = {40, 17, 9, 3};
  problem.net.activations = {ActivationId::tanh, ActivationId::gelu};
  problem.layout = Layout(problem.net);
  problem.algorithm.flow = flow;
  problem.algorithm.head.prior = prior;
  problem.algorithm.head.predictive = problem.algorithm.head.given();
  problem.algorithm.inner.id = optimizer;
  problem.algorithm.inner.parameters.value = {0.9, 0.99, 0.1};
  if (optimizer == InnerId::sgd) problem.algorithm.inner.parameters = {};
  problem.algorithm.implicit = {10, 0, 2};
  problem.algorithm.steps = problem.algorithm.head.given() ? 1 : 2;
  problem.tasks = 19;
  problem.support = problem.query = {.longest = 4, .total = 4 * problem.tasks};
  const auto count = static_cast<std::size_t>(problem.layout.n_params);
  const auto tasks = static_cast<std::size_t>(problem.tasks);
  const std::vector<T> theta(count, T(0.05)), x(tasks * 4 * 40, T(0.5)), y(tasks * 4 * 3, T(1));
  const auto numbers =
      static_cast<std::size_t>(problem.algorithm.head.n_numbers(problem.net.features(), 3));
  const std::vector<T> rates(std::max<std::size_t>(3, numbers), T(0.01));
  std::vector<Index> offsets;
  for (Index t = 0; t <= problem.tasks; ++t) offsets.push_back(4 * t);
  std::vector<T> grad(count), losses(tasks), vectors(count * tasks), outputs(tasks * 4 * 3);
  std::vector<std::uint8_t> diverged(tasks);
  Call<T> call;
  call.theta = call.tangent = theta.data();
  call.support = call.query = {.x = x.data(), .y = y.data(), .offsets = offsets.data()};
  call.rates = rates.data();
  call.grad = grad.data();
  call.losses = losses.data();
  call.task_vectors = operation == Operation::meta_gradient ? nullptr : vectors.data();
  call.outputs = outputs.data();
  call.diverged = diverged.data();
  for (int warm = 0; warm < 2; ++warm) {
    CHECK(api::run(problem, call, {2, true, {}}) == Status::ok);
  }
  const long before = allocations.load();
  for (int run = 0; run < 10; ++run) api::run(problem, call, {2, true, {}});
  CHECK(allocations.load() == before);
}

}  // namespace

int main() {
  for (int engine = 0; engine < api::engine_count(); ++engine) {
    api::force_engine(engine);
    for (const Operation operation : {Operation::predict, Operation::loss, Operation::gradient,
                                      Operation::hvp, Operation::adapt, Operation::meta_gradient}) {
      for (const Flow flow : {Flow::first, Flow::exact}) {
        warm_calls_allocate_nothing<float>(operation, flow);
        warm_calls_allocate_nothing<double>(operation, flow);
      }
    }
    for (const Flow flow : {Flow::first, Flow::exact, Flow::reptile, Flow::implicit}) {
      warm_calls_allocate_nothing<float>(Operation::meta_gradient, flow, InnerId::adam);
    }
  }
  for (int engine = 0; engine < api::engine_count(); ++engine) {
    if (std::strcmp(api::engine_name(engine), "rows") == 0) continue;  // declines heads
    api::force_engine(engine);
    for (const auto prior : {inner::Prior::scalar, inner::Prior::diagonal, inner::Prior::full}) {
      for (const Operation operation : {Operation::adapt, Operation::meta_gradient}) {
        warm_calls_allocate_nothing<float>(operation, Flow::exact, InnerId::sgd, prior);
        warm_calls_allocate_nothing<double>(operation, Flow::first, InnerId::sgd, prior);
      }
    }
  }
#ifdef COUNTS_ALLOCATIONS
  CHECK(allocations.load() > 0);  // the vectors above: the counter does count
#endif
  return check::report();
}
