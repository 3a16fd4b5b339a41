#include "hooks.hpp"
#include "rates.hpp"
#include "results.hpp"

namespace fomaml_fast_bindings {

namespace {

api::Numbers numbers_of(const py::array_t<double>& from, std::vector<float>& narrow,
                        std::vector<double>& wide) {
  wide.assign(from.data(), from.data() + from.size());
  narrow.assign(wide.begin(), wide.end());
  api::Numbers numbers{narrow.data(), wide.data(), {}};
  numbers.shape.axes = static_cast<int>(from.ndim());
  for (int axis = 0; axis < from.ndim(); ++axis) {
    numbers.shape.lengths.at(static_cast<std::size_t>(axis)) = from.shape(axis);
  }
  return numbers;
}

core::inner::HeadSpec head_of(const py::dict& options) {
  core::inner::HeadSpec head;
  const auto number = [&](const char* name) { return py::cast<double>(options[name]); };
  head.prior = static_cast<core::inner::Prior>(
      index_of(core::inner::kPriorNames, py::cast<std::string>(options["prior"]), "prior"));
  head.prior_variance = number("prior_variance");
  head.noise = number("noise");
  head.score_scale = number("score_scale");
  head.zero_mean = py::cast<bool>(options["zero_mean"]);
  head.predictive = py::cast<bool>(options["predictive"]);
  return head;
}

std::unique_ptr<AlgorithmObject> make_algorithm(
    const std::string& inner, const std::vector<double>& options, const py::dict& shared,
    const py::array_t<double>& rates, int steps, const std::string& flow, const std::string& adapt,
    const std::vector<int>& layers, Index context, const std::string& learned,
    const py::array_t<double>& step_weights, const std::tuple<double, double, int>& implicit,
    const std::optional<Named>& query_loss, bool owns_query_loss, const py::dict& head) {
  auto made = std::make_unique<AlgorithmObject>();
  api::Algorithm& algorithm = made->algorithm;
  core::AlgorithmSpec& spec = algorithm.spec;
  spec.inner.id = static_cast<core::InnerId>(index_of(core::kInnerNames, inner, "inner optimiser"));
  spec.inner.parameters = parameters_of(options);
  spec.inner.weight_decay = py::cast<double>(shared["weight_decay"]);
  spec.inner.decoupled_weight_decay = py::cast<double>(shared["decoupled_weight_decay"]);
  spec.inner.proximal = py::cast<double>(shared["proximal"]);
  spec.inner.clip_norm = py::cast<double>(shared["clip_norm"]);
  if (!head.empty()) spec.head = head_of(head);
  spec.steps = steps;
  spec.flow = static_cast<core::Flow>(index_of(core::kFlowNames, flow, "gradient"));
  spec.context = context;
  spec.learns_rates = !learned.empty();
  spec.multi_step = step_weights.size() > 0;
  std::tie(spec.implicit.pull, spec.implicit.tolerance, spec.implicit.most_iterations) = implicit;
  if (spec.flow == core::Flow::implicit) spec.inner.proximal = spec.implicit.pull;
  made->layers = layers;
  algorithm.adapts = layer_choice(adapt, made->layers, "adapt");
  if (spec.learns_rates) {
    algorithm.learned = static_cast<api::Algorithm::Spread>(
        index_of(api::Algorithm::kSpreadNames, learned, "learn_rates"));
  }
  algorithm.rates = numbers_of(rates, made->narrow_rates, made->wide_rates);
  if (spec.multi_step) {
    algorithm.step_weights =
        numbers_of(step_weights, made->narrow_step_weights, made->wide_step_weights);
  }
  algorithm.has_query_loss = query_loss.has_value();
  if (query_loss) algorithm.query_loss = make_loss(*query_loss);
  algorithm.owns_query_loss = owns_query_loss;
  return made;
}

/// Raises where the algorithm is none for that network.
void check_algorithm(const AlgorithmObject& algorithm, const api::Network& net) {
  api::Fault fault;
  expect(api::fits(algorithm.algorithm, net, {}, api::DType::none, fault), fault);
}

}  // namespace

py::array first_rates(const AlgorithmObject& algorithm, const api::Network& net, api::DType dtype) {
  api::Fault fault;
  api::Shape shape;
  expect(api::learned_shape(algorithm.algorithm, net, shape, fault) &&
             api::fits_dtype(algorithm.algorithm, dtype, fault),
         fault);
  return api::visit_float(dtype, [&]<class T>(T) -> py::array {
    std::vector<py::ssize_t> lengths(shape.lengths.begin(), shape.lengths.begin() + shape.axes);
    py::array_t<T> rates(lengths);
    api::first_rates(algorithm.algorithm, net, shape, rates.mutable_data());
    return rates;
  });
}

void register_algorithm(py::module_& m) {
  py::class_<AlgorithmObject>(m, "Algorithm", py::module_local())
      .def(py::init(&make_algorithm), py::arg("inner"), py::arg("options"), py::arg("shared"),
           py::arg("rates"), py::arg("steps"), py::arg("flow"), py::arg("adapt"), py::arg("layers"),
           py::arg("context"), py::arg("learned"), py::arg("step_weights"), py::arg("implicit"),
           py::arg("query_loss").none(true), py::arg("owns_query_loss"), py::arg("head"));
  m.def("check_algorithm", &check_algorithm, py::arg("algorithm"), py::arg("net"));
  m.def(
      "first_rates",
      [](const AlgorithmObject& algorithm, const api::Network& net, const std::string& dtype) {
        return first_rates(algorithm, net,
                           dtype == "float64" ? api::DType::float64 : api::DType::float32);
      },
      py::arg("algorithm"), py::arg("net"), py::arg("dtype"));
}

}  // namespace fomaml_fast_bindings
