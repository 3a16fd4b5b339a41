#include "api/meta_step.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "api/parameters.hpp"
#include "base/finite.hpp"
#include "base/memory.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

class Parts {
 public:
  Parts(const OuterArguments& in, const Network& net, Index n_rates) {
    const std::uint32_t moving = in.outer->layers.mask(net.spec.depth);
    double largest = 0;
    for (int l = 0; l < net.spec.depth; ++l) {
      const bool moves = (moving >> static_cast<unsigned>(l) & 1U) != 0;
      const double lr = in.lr[in.lr_of_layers ? l : 0];
      if (moves) largest = std::max(largest, lr);
      add(net.layout.layer(net.spec, l).end, lr, moves);
    }
    if (n_rates > 0) add(net.n_params() + n_rates, largest, true);
  }
  [[nodiscard]] OuterParts view() const { return {parts_.data(), count_}; }

 private:
  /// Joins what goes on as it was: the usual step has one part.
  void add(Index end, double lr, bool moves) {
    OuterPart* const last = count_ > 0 ? &parts_.at(static_cast<std::size_t>(count_ - 1)) : nullptr;
    if (last != nullptr && last->moves == moves && (last->lr == lr || !moves)) {
      last->end = end;
      return;
    }
    const Index first = last != nullptr ? last->end : 0;
    parts_.at(static_cast<std::size_t>(count_++)) = {first, end, lr, moves};
  }

  std::array<OuterPart, kMaxLayers + 1> parts_;
  int count_ = 0;
};

}  // namespace

bool fits(const OuterArguments& in, const Network& net, Fault& fault) {
  const int depth = net.spec.depth;
  if (!in.outer->layers.fits(depth, "outer.layers", fault)) return false;
  if (!in.lr_of_layers || in.n_lr == depth) return true;
  fault.reason = Reason::rates_of_layers;
  fault.name = "outer.lr";
  fault.got = in.n_lr;
  fault.count = depth;
  return false;
}

bool check(const OuterArguments& in, const Network& net, Index n_rates, DType dtype, Fault& fault) {
  if (!fits(in, net, fault)) return false;
  if (!in.moments.given()) {
    fault.reason = Reason::missing;
    fault.name = in.moments.name;
    return false;
  }
  const Array& moments = in.moments.array();
  const Shape wanted{2, {outer_moments(in.outer->spec), net.n_params() + n_rates}};
  const bool fits = moments.dtype == dtype && moments.shape.axes == 2 &&
                    moments.shape[0] == wanted[0] && moments.shape[1] == wanted[1];
  if (fits) return check_finite(in.moments, true, fault);
  fault.reason = Reason::moments;
  fault.name = in.moments.name;
  fault.like = dtype;
  fault.dtype = moments.dtype;
  fault.wanted = wanted;
  fault.shape = moments.shape;
  return false;
}

template <class T>
Status outer_step(const OuterArguments& in, const Network& net, Index n_rates, const T* theta,
                  const T* rates, const T* grad, const T* rate_grad, StepResults<T>& results) {
  const Index n_params = net.n_params(), size = n_params + n_rates;
  const Parts parts(in, net, n_rates);
  const T* const moments = in.moments.array().template as<T>();
  if (n_rates == 0) {
    results.grad_norm =
        FOMAML_FAST_NAMESPACE::outer_step(in.outer->spec, parts.view(), in.step, theta, grad,
                                          moments, results.theta, results.moments);
  } else {
    const Workspace workspace = Workspace::checkout(static_cast<std::size_t>(3 * size) * sizeof(T));
    if (workspace.memory() == nullptr) return Status::out_of_memory;
    T* const joined = reinterpret_cast<T*>(workspace.memory());
    T *const joined_grad = joined + size, *const after = joined_grad + size;
    std::copy_n(rates, n_rates, std::copy_n(theta, n_params, joined));
    std::copy_n(rate_grad, n_rates, std::copy_n(grad, n_params, joined_grad));
    results.grad_norm =
        FOMAML_FAST_NAMESPACE::outer_step(in.outer->spec, parts.view(), in.step, joined,
                                          joined_grad, moments, after, results.moments);
    std::copy_n(after, n_params, results.theta);
    std::copy_n(after + n_params, n_rates, results.rates);
  }
  results.finite = std::isfinite(results.grad_norm) && all_finite(results.theta, n_params) &&
                   all_finite(results.rates, n_rates) &&
                   all_finite(results.moments, in.moments.array().size());
  return Status::ok;
}

template <class T>
Status meta_step(const MetaArguments& meta, const OuterArguments& outer, Index n_rates,
                 const Execution& execution, MetaResults<T>& results, StepResults<T>& stepped) {
  const Index n_params = meta.net->n_params();
  const Workspace workspace =
      Workspace::checkout(static_cast<std::size_t>(n_params + n_rates) * sizeof(T));
  if (workspace.memory() == nullptr) return Status::out_of_memory;
  T* const grad = reinterpret_cast<T*>(workspace.memory());
  results.grad = grad;
  results.rate_grad = n_rates > 0 ? grad + n_params : nullptr;
  const Status status = meta_gradient(meta, execution, results);
  if (status != Status::ok || !results.finite) return status;
  const T* const rates = n_rates > 0 ? meta.rates.array().template as<T>() : nullptr;
  return outer_step(outer, *meta.net, n_rates, meta.theta.array().template as<T>(), rates, grad,
                    results.rate_grad, stepped);
}

#define FOMAML_FAST_INSTANTIATE(T)                                                                \
  template Status outer_step(const OuterArguments&, const Network&, Index, const T*, const T*,    \
                             const T*, const T*, StepResults<T>&);                                \
  template Status meta_step(const MetaArguments&, const OuterArguments&, Index, const Execution&, \
                            MetaResults<T>&, StepResults<T>&);
FOMAML_FAST_INSTANTIATE(float)
FOMAML_FAST_INSTANTIATE(double)
#undef FOMAML_FAST_INSTANTIATE

}  // namespace FOMAML_FAST_NAMESPACE::api
