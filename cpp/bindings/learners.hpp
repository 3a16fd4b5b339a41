// What calls of many learners share: arguments with an axis of learners in front, and how such a
// call ends.
#pragma once

#include "api/learners.hpp"
#include "hooks.hpp"
#include "rates.hpp"
#include "results.hpp"

namespace fomaml_fast_bindings {

/// Item `learner` of a list that holds one for each, or one for all.
template <class Item>
const Item& item_of(const std::vector<Item*>& items, Index learner) {
  return *items[items.size() == 1 ? 0 : static_cast<std::size_t>(learner)];
}

/// An argument cut along its axis of learners. It refers to the argument's memory.
class Cut {
 public:
  Cut(const api::Argument& whole, Index learners, const char* other) : name_(whole.name) {
    api::Fault fault;
    fault.name = whole.name;
    const bool one = whole.given() && !whole.listed;
    fault.reason = one ? api::Reason::learners_axis : api::Reason::missing;
    fault.other = other;
    fault.count = learners;
    fault.shape = one ? whole.array().shape : api::Shape{};
    expect(one && fault.shape.axes > 0 && fault.shape[0] == learners, fault);
    const api::Array& all = whole.array();
    api::Array part = all;
    --part.shape.axes;
    std::copy(all.shape.lengths.begin() + 1, all.shape.lengths.end(), part.shape.lengths.begin());
    const std::size_t bytes = static_cast<std::size_t>(part.size()) * bytes_of(all.dtype);
    parts_.assign(static_cast<std::size_t>(learners), part);
    for (std::size_t r = 0; r < parts_.size(); ++r) {
      parts_[r].data = static_cast<const std::byte*>(all.data) + r * bytes;
    }
  }
  [[nodiscard]] api::Argument operator[](Index learner) const {
    return {.name = name_, .arrays = &parts_[static_cast<std::size_t>(learner)], .count = 1};
  }

 private:
  static std::size_t bytes_of(api::DType dtype) {
    switch (dtype) {
      case api::DType::float64:
      case api::DType::int64:
        return 8;
      case api::DType::boolean:
        return 1;
      default:
        return 4;
    }
  }

  const char* name_;
  std::vector<api::Array> parts_;
};

/// How many learners a theta holds, [R, P] or with `tasks` [R, T, P].
inline Index count_learners(const api::Argument& theta, const api::Network& net,
                            bool tasks = false) {
  api::Fault fault;
  fault.name = theta.name;
  fault.reason = api::Reason::missing;
  expect(theta.given() && !theta.listed, fault);
  const api::Shape& shape = fault.shape = theta.array().shape;
  fault.dtype = theta.dtype();
  fault.reason = api::Reason::not_float;
  expect(api::is_float(theta.dtype()), fault);
  fault.reason = api::Reason::shape;
  fault.wanted = {2, {api::Shape::learners, net.n_params()}};
  if (tasks) fault.wanted = {3, {api::Shape::learners, api::Shape::tasks, net.n_params()}};
  expect(shape.axes == fault.wanted.axes && shape.size() > 0 && shape.last() == net.n_params(),
         fault);
  return shape[0];
}

/// The rates of every learner: those given, or the first ones of its algorithm.
class RatesOfLearners {
 public:
  RatesOfLearners(const char* name, const py::handle& value, const api::Argument& theta,
                  const std::vector<AlgorithmObject*>& algorithms, const api::Network& net)
      : name_(name), learners_(theta.array().shape[0]) {
    if (value.is_none() || GivenRates::empty(value)) {
      for (Index r = 0; r < learners_; ++r) {
        own_.push_back(std::make_unique<GivenRates>(name, py::none(), item_of(algorithms, r), net,
                                                    theta.dtype()));
      }
      return;
    }
    whole_.emplace(name, value, Conversion{Role::numbers, theta.dtype()});
    cut_.emplace(**whole_, learners_, theta.name);
  }
  [[nodiscard]] api::Argument operator[](Index learner) const {
    if (cut_) return (*cut_)[learner];
    return **own_[static_cast<std::size_t>(learner)];
  }

 private:
  const char* name_;
  Index learners_;
  std::optional<Given> whole_;
  std::optional<Cut> cut_;
  std::vector<std::unique_ptr<GivenRates>> own_;
};

/// Calls `body(learner, execution)` for every learner, without the GIL; how each ended.
template <class Body>
std::vector<core::Status> run_learners(Index learners, const core::Problem& one, int threads,
                                       const Body& body) {
  std::vector<core::Status> ended(static_cast<std::size_t>(learners));
  run(threads, [&](const core::Execution& execution) {
    return api::run_learners(learners, one, execution, ended.data(), body);
  });
  return ended;
}

/// Those for which `which(learner)` holds.
template <class Which>
std::vector<Index> learners_where(Index learners, Which&& which) {
  std::vector<Index> found;
  for (Index r = 0; r < learners; ++r) {
    if (which(static_cast<std::size_t>(r))) found.push_back(r);
  }
  return found;
}

/// Numbers of the tasks whose flag is set.
inline std::vector<Index> flagged(const std::uint8_t* flags, Index tasks) {
  std::vector<Index> found;
  for (Index t = 0; t < tasks; ++t) {
    if (flags[t] != 0) found.push_back(t);
  }
  return found;
}

}  // namespace fomaml_fast_bindings
