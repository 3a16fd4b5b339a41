// What the register_*.cpp files share: the bound types, and how arrays and statuses cross over.
//
// Python has validated every argument before it calls in here; arrays are C-contiguous and of the
// right dtype.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "api/engines.hpp"
#include "api/run.hpp"
#include "base/finite.hpp"
#include "outer/step.hpp"

namespace fomaml_fast_bindings {

namespace py = pybind11;
namespace core = FOMAML_FAST_NAMESPACE;
using core::Index;

void register_info(py::module_& m);
void register_families(py::module_& m);
void register_network(py::module_& m);
void register_rows(py::module_& m);
void register_algorithm(py::module_& m);
void register_outer(py::module_& m);
void register_evaluation(py::module_& m);
void register_adaptation(py::module_& m);
void register_meta_gradient(py::module_& m);
void register_plan(py::module_& m);
void register_work(py::module_& m);
void register_inner(py::module_& m);

struct Network {
  core::NetworkSpec spec;
  core::Layout layout{spec};
};

/// A problem of that network, and nothing else yet.
inline core::Problem problem_of(const Network& net, core::Operation operation) {
  core::Problem problem;  // an aggregate's braces would clear all of it first
  problem.operation = operation;
  problem.net = net.spec;
  problem.layout = net.layout;
  return problem;
}

/// A member of a family: its name, and the values of its options.
using Named = std::pair<std::string, std::vector<double>>;

/// The values of options, in the order of the core's list.
core::Parameters parameters_of(const std::vector<double>& options);

core::LossSpec make_loss(const Named& loss);

/// The rows of many tasks; keeps its arrays alive.
struct Rows {
  py::object x, y, offsets, coefficients = py::none(), classes = py::none();
  const void* x_data = nullptr;
  const void* y_data = nullptr;
  const void* coefficients_data = nullptr;
  const std::uint8_t* classes_data = nullptr;
  const Index* offsets_data = nullptr;
  Index tasks = 0;
  core::RowShape shape;
  Index columns = 0;         ///< of x
  Index target_columns = 0;  ///< of y where it holds numbers
  Index class_columns = 0;   ///< of `classes` where there are any
  Index top_label = -1;
  bool negative = false;  ///< some target is a number below 0
  bool shared = false;
  bool labels = false;
  bool is_double = false;

  /// Whether the core may compute with `net`, that loss and parameters of that dtype on these rows.
  /// The context takes the place of some of the network's inputs.
  [[nodiscard]] bool fit(const Network& net, const core::LossSpec& loss, bool theta_is_double,
                         Index context = 0) const;

  template <class T>
  [[nodiscard]] core::RowSet<T> view() const {
    core::RowSet<T> rows;
    rows.x = static_cast<const T*>(x_data);
    if (labels) {
      rows.labels = static_cast<const std::int32_t*>(y_data);
    } else {
      rows.y = static_cast<const T*>(y_data);
    }
    rows.offsets = offsets_data;
    rows.coefficients = static_cast<const T*>(coefficients_data);
    rows.classes = classes_data;
    rows.shared = shared;
    return rows;
  }

  /// The shape of a problem's rows whose loss is `loss`.
  [[nodiscard]] core::RowShape shape_with(const core::LossSpec& loss) const {
    core::RowShape with = shape;
    with.loss = loss;
    return with;
  }
};

/// The loss of some rows: the network's own, or the one that stands in for it; of rows of
/// probabilities, the twin of cross_entropy.
core::LossSpec loss_for(const Network& net, const Rows& rows,
                        const std::optional<core::LossSpec>& instead = std::nullopt);

/// An algorithm as Python describes it: what depends on the network is decided at the call.
struct Algorithm {
  enum class Adapts : std::uint8_t { all, head, body, listed };

  core::AlgorithmSpec spec;  ///< but for `layers` and what follows from the rates
  Adapts adapts = Adapts::all;
  std::vector<int> layers;    ///< listed: indices, from the end where negative
  py::array_t<double> rates;  ///< [], [L], [S, L] or [P]
  std::vector<double> step_weights;
  std::optional<core::LossSpec> query_loss;  ///< instead of the network's

  /// Whether its layers and rates are some of that network.
  [[nodiscard]] bool fits(const Network& net, const py::handle& own_rates) const;
  /// The layers that adapt, a bit each.
  [[nodiscard]] std::uint32_t mask(int depth) const;
};

/// An algorithm at one network: its part of a call, and the memory behind it.
template <class T>
class AlgorithmCall {
 public:
  /// `own_rates`: None, or rates in theta's dtype that stand in for the algorithm's.
  AlgorithmCall(const Algorithm& algorithm, const py::handle& own_rates, const Network& net);
  void fill(core::Problem& problem, core::Call<T>& call) const;
  /// The gradient of the rates, [n_rates], in the shape the rates were given in.
  [[nodiscard]] py::array_t<T> shaped(const std::vector<T>& gradient) const;

 private:
  core::AlgorithmSpec spec_;
  std::array<T, core::kMaxLayers> one_;  ///< one rate for every layer, the usual case
  std::vector<T> many_, step_weights_;
  const T* rates_ = nullptr;
  Index rate_rows_ = 1;
  std::vector<py::ssize_t> shape_;
};

/// A meta-gradient's problem, but for what follows from the rates and the options of the call.
core::Problem meta_problem(const Network& net, const Rows& support, const Rows& query,
                           const Algorithm& algorithm);

struct Outer {
  core::OuterSpec spec;
};

/// Index of `name` in a registry's list.
template <std::size_t N>
int index_of(const char* const (&names)[N], const std::string& name, const char* what) {
  for (std::size_t i = 0; i < N; ++i) {
    if (name == names[i]) return static_cast<int>(i);
  }
  std::string known;
  for (const char* candidate : names) known += (known.empty() ? "" : ", ") + std::string(candidate);
  throw py::value_error("unknown " + std::string(what) + " '" + name + "'; known: " + known);
}

template <std::size_t N>
py::tuple names_of(const char* const (&names)[N]) {
  py::tuple all(N);
  for (std::size_t i = 0; i < N; ++i) all[i] = names[i];
  return all;
}

template <class T>
py::array_t<T> new_array(std::initializer_list<py::ssize_t> shape) {
  return py::array_t<T>(py::array::ShapeContainer(shape));
}

template <class T>
const T* data(const py::array& array) {
  return static_cast<const T*>(array.data());
}

inline bool is_double(const py::array& array) { return array.itemsize() == sizeof(double); }

/// Whether `object` is a plain NumPy array the core can read as it stands: an exact ndarray, native
/// float32 or float64, C-contiguous and aligned.
bool is_plain(const py::handle& object);

/// The same of native int32 or int64.
bool is_plain_labels(const py::handle& object);

/// Copies plain labels and returns the largest; none if some label does not fit [0, 2^31).
std::optional<Index> copy_labels(const py::array& labels, std::int32_t* to);

/// Whether some number of a plain array is below 0.
bool any_negative(const py::array& array);

/// Whether `theta` is plain and one set of parameters [P]; with `check_finite`, all finite.
bool is_plain_theta(const py::handle& theta, const Network& net, bool check_finite);

/// Which tasks diverged: on the stack for few, so that the usual call makes no array of them.
class Flags {
 public:
  explicit Flags(Index tasks) : tasks_(tasks) {
    if (tasks > kFew) many_.resize(static_cast<std::size_t>(tasks));
  }
  std::uint8_t* data() { return tasks_ > kFew ? many_.data() : few_.data(); }
  py::array_t<bool> array() {
    auto flags = new_array<bool>({tasks_});
    std::copy_n(data(), tasks_, reinterpret_cast<std::uint8_t*>(flags.mutable_data()));
    return flags;
  }

 private:
  static constexpr Index kFew = 64;
  Index tasks_;
  std::array<std::uint8_t, kFew> few_;
  std::vector<std::uint8_t> many_;
};

/// Calls `body(T{})` with the scalar type of theta.
template <class Body>
decltype(auto) dispatch(const py::array& theta, Body&& body) {
  return is_double(theta) ? body(double{}) : body(float{});
}

/// Whether there is one vector of P numbers for every task, [tasks, P], not one for all of them.
inline bool per_task(const py::array& vectors) {
  return vectors.ndim() == 2 && vectors.shape(0) > 1;
}

/// Theta of a call: [P] or [1, P] for all tasks, or [tasks, P].
template <class T>
void set_theta(core::Problem& problem, core::Call<T>& call, const py::array& theta) {
  call.theta = data<T>(theta);
  problem.theta_per_task = per_task(theta);
  call.theta_stride = problem.theta_per_task ? problem.layout.n_params : 0;
}

/// Runs without the GIL; throws what Python should see, except divergence, which is returned.
template <class T>
core::Status run(const core::Problem& problem, const core::Call<T>& call, int threads);

}  // namespace fomaml_fast_bindings
