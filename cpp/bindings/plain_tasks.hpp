// The arguments of one evaluation, where they are arrays the core can read as they stand.
#pragma once

#include "bindings.hpp"

namespace fomaml_fast_bindings {

/// Which axes results have: those of the arguments they were computed from.
enum class Form : std::uint8_t {
  flat,     ///< rows of all tasks on top of each other; vectors [tasks, P]
  single,   ///< no task axis
  stacked,  ///< a task axis in front
};

/// As Python passed them; null where the evaluation takes none.
struct PlainArguments {
  py::handle theta;         ///< [P] or [T, P]
  py::handle x;             ///< [n, n_0] or [T, n, n_0]
  py::handle y{};           ///< [n, n_L] or [T, n, n_L], or labels [n] or [T, n]
  py::handle tangent{};     ///< [P] or [T, P]; not scanned
  py::handle cotangents{};  ///< [n, n_L] or [T, n, n_L], one of it a task; not scanned
  py::handle threads;       ///< None or an int of at least 1
  Index context = 0;        ///< inputs of the network that are not columns of x
  bool check_finite = true;
};

/// Rows, parameters and vectors of all tasks. It refers to the arrays it was read from.
class PlainTasks {
 public:
  /// False where anything is not plain, does not fit the network or is not finite: Python then
  /// converts or explains.
  bool read(const Network& net, const PlainArguments& from);

  [[nodiscard]] const Rows& rows() const { return rows_; }
  [[nodiscard]] const py::array& theta() const { return theta_; }
  [[nodiscard]] const py::array& tangent() const { return tangent_; }
  [[nodiscard]] const py::array& cotangents() const { return cotangents_; }
  [[nodiscard]] Form form() const { return single_ ? Form::single : Form::stacked; }
  [[nodiscard]] int threads() const { return threads_; }

 private:
  bool read_vectors(const Network& net, const py::handle& from, py::array& vectors);
  bool read_inputs(const Network& net, const py::handle& x, Index context);
  bool read_targets(const Network& net, const py::array& x, const py::handle& y, Index context);
  bool read_cotangents(const Network& net, const py::array& x, const py::handle& cotangents);
  bool read_threads(const py::handle& threads);
  bool join(Index tasks);

  Rows rows_;
  py::array theta_ = py::reinterpret_steal<py::array>(py::handle());
  py::array tangent_ = py::reinterpret_steal<py::array>(py::handle());
  py::array cotangents_ = py::reinterpret_steal<py::array>(py::handle());
  std::vector<Index> offsets_;
  std::vector<std::int32_t> labels_;
  Index tasks_ = 1;
  int threads_ = 0;
  bool single_ = true;
};

}  // namespace fomaml_fast_bindings
