#include "api/algorithm.hpp"

#include "api/parameters.hpp"
#include "base/finite.hpp"
#include "kernels/compensated.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

bool wrong(Fault& fault, Reason reason, Index got, Index count) {
  fault.reason = reason;
  fault.got = got;
  fault.count = count;
  return false;
}

/// Numbers that are learned beside theta where the head is adapted in closed form.
Index head_numbers(const Algorithm& algorithm, const Network& net) {
  return algorithm.spec.head.n_numbers(net.spec.features(), net.spec.outputs());
}

bool rates_fit(const Shape& shape, const Algorithm& algorithm, const Network& net, Fault& fault) {
  const int depth = net.spec.depth;
  if (algorithm.spec.head.given()) {
    const Index count = head_numbers(algorithm, net);
    fault.shape = shape;
    fault.wanted = {1, {count}};
    const bool fits = shape.axes == 1 && shape[0] == count;
    return fits || wrong(fault, Reason::rates_of_another, shape.size(), count);
  }
  fault.shape = shape;
  const bool fits = shape.axes == 0 ||
                    (shape.axes == 1 && (shape[0] == depth || shape[0] == net.n_params())) ||
                    (shape.axes == 2 && shape[0] > 0 && shape[1] == depth);
  if (!fits) return wrong(fault, Reason::rates_shape, net.n_params(), depth);
  // The context is one group of parameters.
  return algorithm.spec.context == 0 || shape.axes == 0 ||
         wrong(fault, Reason::rates_with_context, 0, 0);
}

bool is_empty(const Argument& rates) {
  return rates.array().shape.axes == 1 && rates.array().shape[0] == 0;
}

}  // namespace

bool fits(const Algorithm& algorithm, const Network& net, const Argument& rates, DType dtype,
          Fault& fault) {
  const int depth = net.spec.depth;
  if (!algorithm.adapts.fits(depth, "adapt", fault)) return false;
  if (algorithm.spec.context >= net.spec.inputs()) {
    return wrong(fault, Reason::context_beyond, algorithm.spec.context, net.spec.inputs());
  }
  if (!fits_dtype(algorithm, dtype, fault)) return false;
  fault.name = "inner.lr";
  const bool steps = !algorithm.spec.head.given();
  if (steps && (!rates.given() || !is_empty(rates))) {
    if (!rates_fit(algorithm.rates.shape, algorithm, net, fault)) return false;
  }
  if (!rates.given()) return true;
  fault.name = rates.name;
  if (is_empty(rates)) {
    if (algorithm.spec.learns_rates || !steps) return wrong(fault, Reason::rates_empty, 0, 0);
    fault.name = "inner.lr";
    return rates_fit(algorithm.rates.shape, algorithm, net, fault);
  }
  fault.dtype = rates.dtype();
  if (!is_float(rates.dtype())) return wrong(fault, Reason::not_float, 0, 0);
  if (rates.dtype() != dtype) {
    fault.other = "theta";
    fault.like = dtype;
    return wrong(fault, Reason::dtype_differs, 0, 0);
  }
  return rates_fit(rates.array().shape, algorithm, net, fault) && check_finite(rates, true, fault);
}

namespace {

using Spread = Algorithm::Spread;

/// Of rates that fit the network.
Spread spread_of(const Shape& shape, const Network& net) {
  if (shape.axes == 0) return Spread::scalar;
  if (shape.axes == 2) return Spread::step_layer;
  return shape[0] == net.spec.depth ? Spread::layer : Spread::parameter;
}

}  // namespace

bool fits_dtype(const Algorithm& algorithm, DType dtype, Fault& fault) {
  if (dtype != DType::float32) return true;
  const auto holds = [&](const Numbers& numbers, const char* name) {
    const Index count = numbers.size();
    const Index bad =
        all_finite(numbers.narrow, count) ? -1 : first_non_finite(numbers.narrow, count);
    if (bad < 0) return true;
    fault.name = name;
    fault.dtype = dtype;
    fault.value = numbers.wide[bad];
    fault.reason = Reason::beyond_dtype;
    return false;
  };
  return holds(algorithm.rates, "inner.lr") && holds(algorithm.step_weights, "step_weights");
}

bool learned_shape(const Algorithm& algorithm, const Network& net, Shape& shape, Fault& fault) {
  fault.name = "inner.lr";
  if (algorithm.spec.head.given()) {
    shape = {1, {head_numbers(algorithm, net)}};
    return true;
  }
  shape = algorithm.rates.shape;
  if (!rates_fit(shape, algorithm, net, fault)) return false;
  const Spread found = spread_of(shape, net);
  const Spread wanted = algorithm.learned == Spread::as_given ? found : algorithm.learned;
  if (wanted == found) return true;
  const Index depth = net.spec.depth;
  const bool spreads = found == Spread::scalar || found == Spread::layer;
  if (!spreads || wanted == Spread::scalar) {
    fault.reason = Reason::rates_do_not_spread;
    fault.text = Algorithm::kSpreadNames[static_cast<std::size_t>(wanted)];
    fault.other = Algorithm::kSpreadNames[static_cast<std::size_t>(found)];
    return false;
  }
  if (wanted == Spread::layer) shape = {1, {depth}};
  if (wanted == Spread::parameter) shape = {1, {net.n_params()}};
  if (wanted == Spread::step_layer) shape = {2, {std::max(1, algorithm.spec.steps), depth}};
  return true;
}

template <class T>
void first_rates(const Algorithm& algorithm, const Network& net, const Shape& shape, T* to) {
  if (algorithm.spec.head.given()) {
    return algorithm.spec.head.start(net.spec.features(), net.spec.outputs(), to);
  }
  const double* const rates = algorithm.rates.wide;
  const Spread found = spread_of(algorithm.rates.shape, net), wanted = spread_of(shape, net);
  const Index depth = net.spec.depth;
  const Index given = algorithm.rates.size();
  const auto of_layer = [&](Index l) {
    return static_cast<T>(rates[found == Spread::scalar ? 0 : l]);
  };
  if (found == wanted) {
    for (Index i = 0; i < given; ++i) to[i] = static_cast<T>(rates[i]);
  } else if (wanted == Spread::parameter) {
    for (int l = 0; l < net.spec.depth; ++l) {
      const LayerOffsets at = net.layout.layer(net.spec, l);
      std::fill(to + at.weight, to + at.end, of_layer(l));
    }
  } else {
    const Index rows = wanted == Spread::layer ? 1 : shape[0];
    for (Index i = 0; i < rows * depth; ++i) to[i] = of_layer(i % depth);
  }
}

template void first_rates(const Algorithm&, const Network&, const Shape&, float*);
template void first_rates(const Algorithm&, const Network&, const Shape&, double*);

template <class T>
AlgorithmAt<T>::AlgorithmAt(const Algorithm& algorithm, const Network& net, const Argument& rates)
    : spec_(algorithm.spec), step_weights_(algorithm.step_weights.as<T>()) {
  const int depth = net.spec.depth;
  spec_.layers = algorithm.adapts.mask(depth);
  const bool own = !rates.given() || is_empty(rates);
  const T* const numbers = own ? algorithm.rates.as<T>() : rates.array().as<T>();
  shape_ = own ? algorithm.rates.shape : rates.array().shape;
  if (shape_.axes == 0) {
    std::fill_n(one_.data(), depth, *numbers);
    return;
  }
  rates_ = numbers;
  if (spec_.head.given()) return;
  spec_.rates_per_parameter = shape_.axes == 1 && shape_[0] != depth;
  if (shape_.axes == 2) rate_rows_ = shape_[0];
}

template <class T>
void AlgorithmAt<T>::fill(Problem& problem, Call<T>& call) const {
  problem.algorithm = spec_;
  problem.rate_rows = rate_rows_;
  call.rates = rates_ == nullptr ? one_.data() : rates_;
  call.rate_steps = rate_rows_;
  call.step_weights = step_weights_;
}

template <class T>
Index AlgorithmAt<T>::n_given() const {
  return shape_.size();
}

template <class T>
void AlgorithmAt<T>::collapse(const T* of_all, T* to, Index n_rates) const {
  if (shape_.axes > 0) {
    if (to != of_all) std::copy_n(of_all, n_rates, to);
    return;
  }
  CompensatedSum<double> sum;  // one rate: every layer's share of it
  for (Index i = 0; i < n_rates; ++i) sum.add(static_cast<double>(of_all[i]));
  *to = static_cast<T>(sum.value());
}

template class AlgorithmAt<float>;
template class AlgorithmAt<double>;

}  // namespace FOMAML_FAST_NAMESPACE::api
