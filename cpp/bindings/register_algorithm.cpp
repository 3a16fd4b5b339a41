#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

Algorithm make_algorithm(const std::string& inner, const std::vector<double>& options,
                         const py::dict& shared, const py::array_t<double>& rates, int steps,
                         const std::string& flow, const std::string& adapt,
                         const std::vector<int>& layers, Index context, bool learns_rates,
                         const std::vector<double>& step_weights,
                         const std::tuple<double, double, int>& implicit,
                         const std::optional<Named>& query_loss) {
  Algorithm algorithm;
  core::AlgorithmSpec& spec = algorithm.spec;
  spec.inner.id = static_cast<core::InnerId>(index_of(core::kInnerNames, inner, "inner optimiser"));
  spec.inner.parameters = parameters_of(options);
  spec.inner.weight_decay = py::cast<double>(shared["weight_decay"]);
  spec.inner.decoupled_weight_decay = py::cast<double>(shared["decoupled_weight_decay"]);
  spec.inner.proximal = py::cast<double>(shared["proximal"]);
  spec.inner.clip_norm = py::cast<double>(shared["clip_norm"]);
  spec.steps = steps;
  spec.flow = static_cast<core::Flow>(index_of(core::kFlowNames, flow, "gradient"));
  spec.context = context;
  spec.learns_rates = learns_rates;
  spec.multi_step = !step_weights.empty();
  std::tie(spec.implicit.pull, spec.implicit.tolerance, spec.implicit.most_iterations) = implicit;
  if (spec.flow == core::Flow::implicit) spec.inner.proximal = spec.implicit.pull;
  constexpr const char* kAdapts[] = {"all", "head", "body", "listed"};
  algorithm.adapts = static_cast<Algorithm::Adapts>(index_of(kAdapts, adapt, "adapt"));
  algorithm.layers = layers;
  algorithm.rates = rates;
  algorithm.step_weights = step_weights;
  if (query_loss) algorithm.query_loss = make_loss(*query_loss);
  return algorithm;
}

/// The context is one group of parameters, and has one rate.
bool rates_fit(const py::array& rates, const Network& net, Index context) {
  if (context > 0) return rates.ndim() == 0;
  const int depth = net.spec.depth;
  switch (rates.ndim()) {
    case 0:
      return true;
    case 1:
      return rates.shape(0) == depth || rates.shape(0) == net.layout.n_params;
    case 2:
      return rates.shape(0) > 0 && rates.shape(1) == depth;
    default:
      return false;
  }
}

}  // namespace

std::uint32_t Algorithm::mask(int depth) const {
  const auto last = static_cast<unsigned>(depth - 1);
  switch (adapts) {
    case Adapts::all:
      return ~std::uint32_t{0};
    case Adapts::head:
      return 1U << last;
    case Adapts::body:
      return (1U << last) - 1U;
    case Adapts::listed:
      break;
  }
  std::uint32_t bits = 0;
  for (const int layer : layers) bits |= 1U << static_cast<unsigned>(layer + (layer < 0) * depth);
  return bits;
}

bool Algorithm::fits(const Network& net, const py::handle& own_rates) const {
  const int depth = net.spec.depth;
  if (adapts == Adapts::body && depth < 2) return false;
  for (const int layer : layers) {
    if (layer < -depth || layer >= depth) return false;
  }
  if (spec.context >= net.spec.inputs()) return false;
  return rates_fit(own_rates.is_none() ? py::array(rates) : py::cast<py::array>(own_rates), net,
                   spec.context);
}

template <class T>
AlgorithmCall<T>::AlgorithmCall(const Algorithm& algorithm, const py::handle& own_rates,
                                const Network& net)
    : spec_(algorithm.spec) {
  const int depth = net.spec.depth;
  spec_.layers = algorithm.mask(depth);
  step_weights_.assign(algorithm.step_weights.begin(), algorithm.step_weights.end());
  if (own_rates.is_none() && algorithm.rates.ndim() == 0) {
    one_.fill(static_cast<T>(*algorithm.rates.data()));
    return;
  }
  const auto fill = [&](const auto* rates, const py::array& array) {
    shape_.assign(array.shape(), array.shape() + array.ndim());
    if (array.ndim() == 0) return one_.fill(static_cast<T>(*rates));
    many_.assign(rates, rates + array.size());
    rates_ = many_.data();
    spec_.rates_per_parameter = array.ndim() == 1 && array.shape(0) != depth;
    if (array.ndim() == 2) rate_rows_ = array.shape(0);
  };
  if (own_rates.is_none()) {
    fill(algorithm.rates.data(), algorithm.rates);
  } else {
    const auto array = py::cast<py::array>(own_rates);
    fill(data<T>(array), array);
  }
}

template <class T>
void AlgorithmCall<T>::fill(core::Problem& problem, core::Call<T>& call) const {
  problem.algorithm = spec_;
  problem.rate_rows = rate_rows_;
  call.rates = rates_ == nullptr ? one_.data() : rates_;
  call.rate_steps = rate_rows_;
  call.step_weights = step_weights_.empty() ? nullptr : step_weights_.data();
}

template <class T>
py::array_t<T> AlgorithmCall<T>::shaped(const std::vector<T>& gradient) const {
  py::array_t<T> array(shape_);
  if (shape_.empty()) {  // one rate: every layer's share of it
    double sum = 0;
    for (const T share : gradient) sum += static_cast<double>(share);
    *array.mutable_data() = static_cast<T>(sum);
  } else {
    std::copy(gradient.begin(), gradient.end(), array.mutable_data());
  }
  return array;
}

template class AlgorithmCall<float>;
template class AlgorithmCall<double>;

void register_algorithm(py::module_& m) {
  py::class_<Algorithm>(m, "Algorithm", py::module_local())
      .def(py::init(&make_algorithm), py::arg("inner"), py::arg("options"), py::arg("shared"),
           py::arg("rates"), py::arg("steps"), py::arg("flow"), py::arg("adapt"), py::arg("layers"),
           py::arg("context"), py::arg("learns_rates"), py::arg("step_weights"),
           py::arg("implicit"), py::arg("query_loss").none(true))
      .def("fits", &Algorithm::fits, py::arg("net"), py::arg("rates").none(true));
}

}  // namespace fomaml_fast_bindings
