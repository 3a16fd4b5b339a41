#include "api/examples.hpp"

#include "api/parameters.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

/// Where a row stands, as callers count: in its task, if tasks have an axis.
void place(const Examples& examples, Index row, Fault& fault) {
  Index set = 0;
  while (examples.offsets[set + 1] <= row) ++set;
  const Index in_set = row - examples.offsets[set];
  if (examples.listed) {
    fault.item = set;
    fault.steps = examples.steps;
    fault.at = {1, {in_set}};
  } else if (examples.single) {
    fault.at = {1, {in_set}};
  } else if (examples.steps > 0) {
    fault.at = {3, {set / examples.steps, set % examples.steps, in_set}};
  } else {
    fault.at = {2, {set, in_set}};
  }
}

bool wrong_columns(Fault& fault, const char* name, Index wanted, Index got, const char* text) {
  fault.reason = Reason::columns;
  fault.name = name;
  fault.count = wanted;
  fault.got = got;
  fault.text = text;
  return false;
}

bool wrong(Fault& fault, Reason reason, const char* name, const char* text = "") {
  fault.reason = reason;
  fault.name = name;
  fault.text = text;
  return false;
}

constexpr const char* kOutputs = "the network's outputs";

bool labels_fit(const Examples& examples, Index outputs, const char* text, Fault& fault) {
  if (examples.top_label < outputs) return true;
  const auto* labels = static_cast<const std::int32_t*>(examples.y);
  const Index bad = std::find(labels, labels + examples.rows(), examples.top_label) - labels;
  place(examples, bad, fault);
  fault.count = outputs;
  fault.got = examples.top_label;
  return wrong(fault, Reason::label_beyond, examples.y_name, text);
}

bool probabilities(const Examples& examples, const char* loss, Fault& fault) {
  return visit_float(examples.dtype, [&]<class T>(T) {
    const T* const numbers = static_cast<const T*>(examples.y);
    const Index count = examples.rows() * examples.target_columns;
    bool negative = false;
    for (Index i = 0; i < count; ++i) negative |= numbers[i] < T(0);
    if (!negative) return true;
    const Index bad =
        std::find_if(numbers, numbers + count, [](T number) { return number < T(0); }) - numbers;
    place(examples, bad / examples.target_columns, fault);
    fault.at.lengths[static_cast<std::size_t>(fault.at.axes++)] = bad % examples.target_columns;
    fault.value = static_cast<double>(numbers[bad]);
    return wrong(fault, Reason::not_probability, examples.y_name, loss);
  });
}

/// Copies sets set_of(0) … set_of(count - 1), with an arena that counts only counting.
template <class SetOf>
void copy_sets(const Examples& from, Index count, const SetOf& set_of, Arena& arena, Examples& to) {
  Index* const offsets = arena.take<Index>(count + 1);
  Index total = 0;
  to.shape.longest = 0;
  to.shape.ragged = false;
  for (Index i = 0; i < count; ++i) {
    const Index rows = from.offsets[set_of(i) + 1] - from.offsets[set_of(i)];
    if (!arena.counting()) offsets[i] = total;
    total += rows;
    to.shape.ragged = to.shape.ragged || (i > 0 && rows != to.shape.longest);
    to.shape.longest = std::max(to.shape.longest, rows);
  }
  if (!arena.counting()) offsets[count] = total;
  to.offsets = offsets;
  to.shape.total = total;
  const auto copy = [&]<class E>(E, const void* rows, Index columns) -> const E* {
    if (rows == nullptr) return nullptr;
    E* const copied = arena.take<E>(total * columns);
    E* next = copied;
    for (Index i = 0; i < count && !arena.counting(); ++i) {
      const Index first = from.offsets[set_of(i)], last = from.offsets[set_of(i) + 1];
      next = std::copy_n(static_cast<const E*>(rows) + first * columns, (last - first) * columns,
                         next);
    }
    return copied;
  };
  visit_float(from.dtype, [&]<class T>(T) {
    to.x = copy(T{}, from.x, from.columns);
    if (from.labelled()) {
      to.y = copy(std::int32_t{}, from.y, 1);
    } else {
      to.y = copy(T{}, from.y, from.target_columns);
    }
    to.weights = copy(T{}, from.weights, from.weight_columns());
    to.coefficients = copy(T{}, from.coefficients, from.shape.per_output ? from.target_columns : 1);
  });
  to.known = copy(std::uint8_t{}, from.known, from.target_columns);
}

}  // namespace

LossSpec loss_of(const Network& net, const Examples& examples, const LossSpec* instead) {
  const LossSpec loss = instead == nullptr ? net.spec.loss : *instead;
  return examples.kind == Examples::Kind::numbers ? of_numbers(loss) : loss;
}

bool fits(const Examples& examples, const Network& net, const LossSpec* instead, Index context,
          Fault& fault) {
  const Index inputs = net.spec.inputs() - context, outputs = net.spec.outputs();
  if (examples.columns != inputs) {
    return wrong_columns(
        fault, examples.x_name, inputs, examples.columns,
        context > 0 ? "the network's inputs without the context" : "the network's inputs");
  }
  if (examples.kind == Examples::Kind::none || (!net.has_loss && instead == nullptr)) return true;
  const LossSpec loss = loss_of(net, examples, instead);
  const char* const name = kLossNames[static_cast<std::size_t>(loss.id)];
  const LossFacts& facts = facts_of(loss);
  const bool wants_labels = facts.targets == Targets::labels;
  if (wants_labels != examples.labelled()) {
    fault.dtype = examples.labelled() ? DType::int32 : examples.dtype;
    return wrong(fault, wants_labels ? Reason::wants_labels : Reason::wants_numbers,
                 examples.y_name, name);
  }
  if (examples.labelled() && !labels_fit(examples, outputs, kOutputs, fault)) return false;
  if (!examples.labelled()) {
    if (examples.target_columns != outputs) {
      return wrong_columns(fault, examples.y_name, outputs, examples.target_columns, kOutputs);
    }
    if (facts.targets == Targets::probabilities && !probabilities(examples, name, fault)) {
      return false;
    }
  }
  if (examples.shape.per_output && !facts.averages_outputs) {
    return wrong(fault, Reason::outputs_want_mean, examples.per_output_name, name);
  }
  if (examples.classes == nullptr) return true;
  if (!facts.masks_classes) {
    return wrong(fault, Reason::classes_want_cross_entropy, examples.class_mask_name, name);
  }
  return examples.class_columns == outputs ||
         wrong_columns(fault, examples.class_mask_name, outputs, examples.class_columns, kOutputs);
}

bool classes_hold(const Examples& examples, Fault& fault) {
  const Index columns = examples.class_columns;
  const bool numbers = examples.kind == Examples::Kind::numbers;
  if (examples.kind == Examples::Kind::none) return true;
  if (numbers && examples.target_columns != columns) {
    return wrong_columns(fault, examples.class_mask_name, examples.target_columns, columns,
                         "as targets have");
  }
  if (!numbers && !labels_fit(examples, columns, "the columns of class_mask", fault)) return false;
  for (Index task = 0; task < examples.tasks; ++task) {
    const std::uint8_t* const has = examples.classes + task * columns;
    const Index per = examples.sets_of_task(), first = examples.shared ? 0 : task * per;
    for (Index row = examples.offsets[first]; row < examples.offsets[first + per]; ++row) {
      Index named = -1;
      if (numbers) {
        visit_float(examples.dtype, [&]<class T>(T) {
          const T* const p = static_cast<const T*>(examples.y) + row * columns;
          for (Index j = 0; j < columns && named < 0; ++j) {
            if (p[j] != T(0) && has[j] == 0) named = j;
          }
        });
      } else if (const Index label = static_cast<const std::int32_t*>(examples.y)[row];
                 has[label] == 0) {
        named = label;
      }
      if (named < 0) continue;
      fault.other = examples.class_mask_name;
      Index step = 0;
      while (examples.offsets[first + step + 1] <= row) ++step;
      fault.got = row - examples.offsets[first + step];
      fault.set = task * per + step;
      fault.steps = examples.steps;
      fault.count = named;
      return wrong(fault, Reason::class_absent, examples.y_name);
    }
  }
  return true;
}

bool match(const Examples& support, const Examples& query, Fault& fault) {
  fault.other = support.x_name;
  if (query.tasks != support.tasks) {
    fault.count = support.tasks;
    fault.got = query.tasks;
    return wrong(fault, Reason::task_count, query.x_name);
  }
  if (query.columns != support.columns) {
    return wrong_columns(fault, query.x_name, support.columns, query.columns, "as x_support has");
  }
  // Labels and numbers may meet: each set has a loss of its own.
  const bool numbers = !support.labelled() && !query.labelled();
  if (numbers && query.target_columns != support.target_columns) {
    return wrong_columns(fault, query.y_name, support.target_columns, query.target_columns,
                         "as y_support has");
  }
  return true;
}

bool holds_steps(const Examples& support, int steps, bool all, Fault& fault) {
  if (support.steps == 0 || support.steps == steps || (!all && support.steps > steps)) return true;
  fault.count = steps;
  fault.got = support.steps;
  return wrong(fault, all ? Reason::step_count : Reason::steps_beyond, support.x_name);
}

bool match(const Examples& support, const AlgorithmSpec& algorithm, Fault& fault) {
  if (!holds_steps(support, algorithm.steps, true, fault)) return false;
  if (support.steps == 0 || algorithm.flow != Flow::implicit) return true;
  return wrong(fault, Reason::steps_have_no_fixed_point, support.x_name);
}

bool check_task_weights(const Argument& weights, Index tasks, DType dtype, const char* like,
                        Fault& fault) {
  const ParameterRule rule{.n_params = tasks, .dtype = dtype, .like = like, .per_task = false};
  return check_parameters(weights, rule, fault) && check_finite(weights, true, fault);
}

Examples take_tasks(const Examples& from, const Index* tasks, Index count, Arena& arena) {
  Examples to = from;
  const Index per = from.sets_of_task();
  to.tasks = count;
  to.single = false;
  if (from.shared) {  // the rows stay where they are
    Index* const offsets = arena.take<Index>(per + 1);
    if (!arena.counting()) std::copy_n(from.offsets, per + 1, offsets);
    to.offsets = offsets;
    to.shape.total = count * from.shape.longest;
  } else {
    const auto set_of = [&](Index i) { return tasks[i / per] * per + i % per; };
    copy_sets(from, count * per, set_of, arena, to);
    to.shape.total /= per;
  }
  if (from.classes != nullptr) {
    std::uint8_t* const classes = arena.take<std::uint8_t>(count * from.class_columns);
    for (Index i = 0; i < count && !arena.counting(); ++i) {
      const Index task = from.same_classes ? 0 : tasks[i];
      std::copy_n(from.classes + task * from.class_columns, from.class_columns,
                  classes + i * from.class_columns);
    }
    to.classes = classes;
    to.same_classes = false;
  }
  return to;
}

Examples take_step(const Examples& from, Index step, Arena& arena) {
  Examples to = from;
  const Index per = from.sets_of_task();
  to.steps = 0;
  to.shape.stepped = false;
  copy_sets(from, from.sets() / per, [&](Index i) { return i * per + step; }, arena, to);
  return to;
}

}  // namespace FOMAML_FAST_NAMESPACE::api
