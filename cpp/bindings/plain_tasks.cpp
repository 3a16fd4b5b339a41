#include "plain_tasks.hpp"

#include <algorithm>
#include <limits>

namespace fomaml_fast_bindings {

namespace {

bool finite(const py::array& array) {
  return dispatch(array,
                  [&]<class T>(T) { return core::all_finite(data<T>(array), array.size()); });
}

py::array borrow(const py::handle& object) { return py::reinterpret_borrow<py::array>(object); }

}  // namespace

/// Every argument has a task for each of the others, or one for them all.
bool PlainTasks::join(Index tasks) {
  if (tasks == 0 || (tasks > 1 && tasks_ > 1 && tasks != tasks_)) return false;
  tasks_ = std::max(tasks_, tasks);
  return true;
}

/// Theta, or directions of it.
bool PlainTasks::read_vectors(const Network& net, const py::handle& from, py::array& vectors) {
  if (!is_plain(from)) return false;
  vectors = borrow(from);
  const auto dimensions = vectors.ndim();
  if ((dimensions != 1 && dimensions != 2) ||
      vectors.shape(dimensions - 1) != net.layout.n_params ||
      vectors.itemsize() != theta_.itemsize()) {
    return false;
  }
  single_ = single_ && dimensions == 1;
  return join(dimensions == 2 ? vectors.shape(0) : 1);
}

bool PlainTasks::read_inputs(const Network& net, const py::handle& from, Index context) {
  if (!is_plain(from)) return false;
  const py::array x = borrow(from);
  const auto dimensions = x.ndim();
  if ((dimensions != 2 && dimensions != 3) || x.size() == 0 ||
      x.shape(dimensions - 1) != net.spec.inputs() - context || x.itemsize() != theta_.itemsize()) {
    return false;
  }
  const Index count = x.shape(dimensions - 2), sets = dimensions == 3 ? x.shape(0) : 1;
  rows_.x_data = x.data();
  rows_.columns = x.shape(dimensions - 1);
  rows_.is_double = is_double(x);
  rows_.shape.longest = count;
  offsets_.resize(static_cast<std::size_t>(sets) + 1);
  for (Index t = 0; t <= sets; ++t) offsets_[static_cast<std::size_t>(t)] = t * count;
  rows_.offsets_data = offsets_.data();
  single_ = single_ && dimensions == 2;
  return join(sets);
}

bool PlainTasks::read_targets(const Network& net, const py::array& x, const py::handle& from,
                              Index context) {
  const bool numbers = is_plain(from);
  if (!numbers && !is_plain_labels(from)) return false;
  const py::array y = borrow(from);
  if (y.ndim() != x.ndim() - (numbers ? 0 : 1)) return false;
  for (py::ssize_t axis = 0; axis + 1 < x.ndim(); ++axis) {
    if (y.shape(axis) != x.shape(axis)) return false;
  }
  if (numbers) {
    if (y.itemsize() != x.itemsize()) return false;
    rows_.y_data = y.data();
    rows_.target_columns = y.shape(y.ndim() - 1);
    rows_.negative = core::facts_of(loss_for(net, rows_)).targets == core::Targets::probabilities &&
                     any_negative(y);
  } else {
    labels_.resize(static_cast<std::size_t>(y.size()));
    const auto top = copy_labels(y, labels_.data());
    if (!top) return false;
    rows_.labels = true;
    rows_.top_label = *top;
    rows_.y_data = labels_.data();
  }
  return rows_.fit(net, loss_for(net, rows_), is_double(theta_), context);
}

/// As many as there are tasks: nothing is repeated here.
bool PlainTasks::read_cotangents(const Network& net, const py::array& x, const py::handle& from) {
  if (!is_plain(from)) return false;
  cotangents_ = borrow(from);
  const auto dimensions = cotangents_.ndim();
  if ((dimensions != 2 && dimensions != 3) || cotangents_.itemsize() != theta_.itemsize() ||
      cotangents_.shape(dimensions - 1) != net.spec.outputs() ||
      cotangents_.shape(dimensions - 2) != x.shape(x.ndim() - 2)) {
    return false;
  }
  const Index held = dimensions == 3 ? cotangents_.shape(0) : 1;
  single_ = single_ && dimensions == 2;
  return join(held) && held == tasks_;
}

bool PlainTasks::read_threads(const py::handle& threads) {
  if (threads.is_none()) return true;
  if (!PyLong_CheckExact(threads.ptr())) return false;
  int overflow = 0;
  const long count = PyLong_AsLongAndOverflow(threads.ptr(), &overflow);
  if (overflow != 0 || count < 1 || count > std::numeric_limits<std::int32_t>::max()) return false;
  threads_ = static_cast<int>(count);
  return true;
}

bool PlainTasks::read(const Network& net, const PlainArguments& from) {
  if (!read_threads(from.threads) || !is_plain(from.theta)) return false;
  theta_ = borrow(from.theta);
  if (!read_vectors(net, from.theta, theta_) || !read_inputs(net, from.x, from.context))
    return false;
  const py::array x = borrow(from.x);
  if (from.y && !read_targets(net, x, from.y, from.context)) return false;
  if (from.tangent && !read_vectors(net, from.tangent, tangent_)) return false;
  if (from.cotangents && !read_cotangents(net, x, from.cotangents)) return false;
  if (from.check_finite &&
      !(finite(theta_) && finite(x) && (!from.y || rows_.labels || finite(borrow(from.y))))) {
    return false;
  }
  rows_.tasks = tasks_;
  rows_.shared = tasks_ > 1 && offsets_.size() == 2;
  rows_.shape.total = tasks_ * rows_.shape.longest;
  return true;
}

}  // namespace fomaml_fast_bindings
