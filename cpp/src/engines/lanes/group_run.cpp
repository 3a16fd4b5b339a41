#include "engines/lanes/group_run.hpp"

#include "base/finite.hpp"
#include "engines/lanes/output_loss.hpp"
#include "kernels/compensated.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

template <class T>
Workspace<T>::Workspace(const Problem& problem, const Shapes& shapes, Arena& arena) {
  const auto vectors = [&](Index count) { return take_vectors<V>(shapes, count, arena); };
  const Operation operation = problem.operation;
  const bool gradients = operation != Operation::predict && operation != Operation::loss;
  if (problem.theta_per_task) theta = vectors(1);
  if (shapes.steps > 0) adapted = vectors(shapes.exact ? shapes.steps : 1);
  if (shapes.meta || (gradients && !shapes.unrolls)) vector = vectors(1);
  if (shapes.second_order) tangent = vectors(1);
  if (shapes.steps > 0 && !shapes.support.whole()) gradient = vectors(1);
  if (shapes.meta) total = vectors(1);
  if (shapes.meta && shapes.long_blocks) {
    totals = {total, vectors(1), vectors(1)};
  }
  if ((gradients && shapes.support.many) || (shapes.meta && shapes.query.many)) {
    pieces = LongSum<V>::carve(shapes, arena);
  }

  support = LaneRows<T>::carve(problem, problem.support, shapes.support, arena);
  if (shapes.meta) query = LaneRows<T>::carve(problem, problem.query, shapes.query, arena);

  taped = shapes.exact && shapes.support.whole();
  const int slots = taped ? shapes.steps : 1;
  tape = arena.take<Activity<T>>(slots);
  // Query rows may use the support's buffers, unless those are kept for the way back.
  const Index rows = taped ? shapes.support.rows : std::max(shapes.support.rows, shapes.query.rows);
  for (int k = 0; k < slots; ++k) {
    const Activity<T> carved = Activity<T>::carve(shapes, rows, gradients, arena);
    if (!arena.counting()) tape[k] = carved;
    query_activity = carved;
  }
  if (taped) query_activity = Activity<T>::carve(shapes, shapes.query.rows, gradients, arena);
  if (shapes.second_order) tangents = Tangents<T>::carve(shapes, shapes.support.rows, arena);
}

/// Calls `body` with the parameters the group starts from: scalars if all tasks share them.
template <class T>
template <class Body>
void GroupRun<T>::with_theta(Group group, Body&& body) {
  group_ = group;
  if (!problem_.theta_per_task) return body(shared_.theta);
  gather_parameters(shapes_, call_.theta, call_.theta_stride, group, work_.theta);
  body(static_cast<const V*>(work_.theta));
}

template <class T>
void GroupRun<T>::load_support(int k) {
  if (!shapes_.support.whole()) return;
  work_.support.load(problem_.net, call_.support.at_step(k), group_, shapes_.support, 0);
}

/// One inner step: to = from - rates * gradient. Returns the support loss at `from`.
template <class T>
template <class B>
Vec<T> GroupRun<T>::step(const B* from, int k, V* to) {
  if (shapes_.support.whole()) {
    Activity<T>& kept = activity(k);
    const std::size_t top = NetworkSpec::at(shapes_.depth - 1);
    const StepScale<T> scale = call_.step_scale(k, shapes_.depth);
    kept.delta_scale = scale.deltas;
    forward(shapes_, from, work_.support, kept);
    const V loss = output_loss(shapes_.last().fan_out, work_.support, kept.h[top], kept.d[top],
                               kept.delta_scale);
    descend(shapes_, from, work_.support, kept, scale.rates, to);
    return loss;
  }
  const V loss = loss_and_gradient(from, call_.support.at_step(k), shapes_.support, work_.support,
                                   activity(k), false, work_.gradient);
  const T* const rates = call_.step_rates(k, shapes_.depth);
  for (int l = 0; l < shapes_.depth; ++l) {
    const V factor = broadcast<V>(-rates[l]);
    for (Index i = shapes_[l].weight; i < shapes_[l].end; ++i) {
      to[i] = pack_at<V>(from + i) + factor * work_.gradient[i];
    }
  }
  return loss;
}

/// Takes the inner steps from the group's start and calls `finish` with theta_S, after flagging
/// what was not finite on the way.
template <class T>
template <class Finish>
void GroupRun<T>::unroll(Group group, Finish&& finish) {
  with_theta(group, [&]<class B>(const B* theta) {
    if (shapes_.steps == 0) {
      V defect = broadcast<V>(0);
      if constexpr (std::is_same_v<B, V>) {
        defect = defect_of(theta, shapes_.size);
      } else if (!all_finite(theta, shapes_.size)) {
        defect = broadcast<V>(std::numeric_limits<T>::quiet_NaN());
      }
      flag(defect);
      return finish(theta);
    }
    load_support(0);
    V loss = step(theta, 0, adapted(0));
    if (call_.support_losses != nullptr) write_losses(loss, call_.support_losses);
    V defect = loss - loss;
    for (int k = 1; k < shapes_.steps && !stopped(shapes_.support); ++k) {
      if (problem_.support.stepped) load_support(k);
      loss = step(static_cast<const V*>(adapted(k - 1)), k, adapted(k));
      defect += loss - loss;
    }
    const V* const last = adapted(shapes_.steps - 1);
    flag(defect + defect_of(last, shapes_.size));
    finish(last);
  });
}

/// Fills work_.pieces.sum; add_piece(piece, add, to) forms or adds one piece's vector.
template <class T>
template <class AddPiece>
void GroupRun<T>::sum_pieces(const Pieces& pieces, const AddPiece& add_piece) const {
  constexpr Index kTogether = 4;
  const LongSum<V>& sums = work_.pieces;
  sums.begin(shapes_.size);
  for (Index piece = 0; piece < pieces.count && !stopped(pieces); ++piece) {
    add_piece(piece, piece % kTogether != 0, sums.latest);
    if (piece % kTogether == kTogether - 1 || piece == pieces.count - 1) {
      sums.add(sums.latest, shapes_.size);
    }
  }
}

/// Loss over all of the tasks' rows; `to` (+)= its gradient.
template <class T>
template <class B>
Vec<T> GroupRun<T>::loss_and_gradient(const B* theta, const RowSet<T>& set, const Pieces& pieces,
                                      LaneRows<T>& rows, const Activity<T>& activity, bool add,
                                      V* to) {
  const std::size_t top = NetworkSpec::at(shapes_.depth - 1);
  CompensatedSum<V> sum;
  const auto add_piece = [&](Index piece, bool added, V* place) {
    rows.load(problem_.net, set, group_, pieces, piece);
    forward(shapes_, theta, rows, activity);
    sum.add(output_loss(shapes_.last().fan_out, rows, activity.h[top], activity.d[top]));
    gradient(shapes_, theta, rows, activity, added, place);
  };
  if (pieces.many) {
    sum_pieces(pieces, add_piece);
    for (Index i = 0; i < shapes_.size; ++i) {
      to[i] = add ? to[i] + work_.pieces.sum[i] : work_.pieces.sum[i];
    }
    return sum.value();
  }
  for (Index piece = 0; piece < pieces.count && !stopped(pieces); ++piece) {
    add_piece(piece, add || piece > 0, to);
  }
  return sum.value();
}

/// to = from + scale * (Hessian of the support loss at theta, where step k started) . v, `from`
/// being 0 where null; what is taped was scaled when it was.
template <class T>
template <class B>
void GroupRun<T>::hessian_vector(const B* theta, int k, T scale, const V* v, const V* from, V* to) {
  const std::size_t top = NetworkSpec::at(shapes_.depth - 1);
  Activity<T>& kept = activity(k);
  const auto add_piece = [&](Index piece, const V* start, V* place) {
    if (!work_.taped) {
      work_.support.load(problem_.net, call_.support.at_step(k), group_, shapes_.support, piece);
      forward(shapes_, theta, work_.support, kept);
      kept.delta_scale = scale;
      output_loss(shapes_.last().fan_out, work_.support, kept.h[top], kept.d[top], scale);
      deltas(shapes_, theta, work_.support, kept);
    }
    lanes::hessian_vector(shapes_, theta, work_.support, kept, v, work_.tangents, start, place);
  };
  if (shapes_.support.many) {
    sum_pieces(shapes_.support, [&](Index piece, bool added, V* place) {
      add_piece(piece, added ? place : nullptr, place);
    });
    const V* const sum = work_.pieces.sum;
    for (Index i = 0; i < shapes_.size; ++i) to[i] = from == nullptr ? sum[i] : from[i] + sum[i];
    return;
  }
  for (Index piece = 0; piece < shapes_.support.count && !stopped(shapes_.support); ++piece) {
    add_piece(piece, piece > 0 ? to : from, to);
  }
}

/// lambda_0 from lambda_S: lambda_k = lambda_{k+1} - H_k (alpha_k * lambda_{k+1}). It is returned
/// in one of the two places.
template <class T>
template <class B>
const Vec<T>* GroupRun<T>::reverse(const B* theta, V* lambda, V* other) {
  const auto add_product = [&](int k, T scale, const V* v, V* to) {
    if (k == 0) {
      hessian_vector(theta, 0, scale, v, lambda, to);
    } else {
      hessian_vector(static_cast<const V*>(adapted(k - 1)), k, scale, v, lambda, to);
    }
  };
  for (int k = shapes_.steps - 1; k >= 0 && !stopped(shapes_.support); --k) {
    if (problem_.support.stepped) load_support(k);
    const StepScale<T> scale = call_.step_scale(k, shapes_.depth);
    if (scale.rates == nullptr) {
      add_product(k, scale.deltas, lambda, other);
      std::swap(lambda, other);
      continue;
    }
    for (int l = 0; l < shapes_.depth; ++l) {
      const V factor = broadcast<V>(-scale.rates[l]);
      for (Index i = shapes_[l].weight; i < shapes_[l].end; ++i) other[i] = factor * lambda[i];
    }
    add_product(k, scale.deltas, other, lambda);
  }
  return lambda;
}

template <class T>
template <class B>
void GroupRun<T>::predict(const B* theta) {
  RowSet<T> inputs = call_.support;
  inputs.y = nullptr;  // every row is predicted, whatever its target and coefficient
  inputs.labels = nullptr;
  inputs.coefficients = nullptr;
  inputs.per_output = false;
  inputs.classes = nullptr;
  const Index outputs = problem_.net.outputs();
  const Activity<T>& activity = work_.tape[0];
  for (Index piece = 0; piece < shapes_.support.count && !stopped(shapes_.support); ++piece) {
    work_.support.load(problem_.net, inputs, group_, shapes_.support, piece);
    forward(shapes_, theta, work_.support, activity);
    const Index start = piece * shapes_.support.rows;
    LaneArrays<T> places{};
    for (std::size_t lane = 0; lane < static_cast<std::size_t>(group_.count); ++lane) {
      const Index task = group_.first + static_cast<Index>(lane);
      const Index count = inputs.count(task);
      const Index first = inputs.shared ? task * count : inputs.first(task);
      places.count[lane] = std::clamp<Index>(count - start, 0, work_.support.rows) * outputs;
      if (places.count[lane] > 0) places.data[lane] = call_.outputs + (first + start) * outputs;
    }
    scatter<T>(activity.h[NetworkSpec::at(shapes_.depth - 1)], work_.support.rows * outputs,
               places);
  }
}

template <class T>
template <class B>
Vec<T> GroupRun<T>::loss(const B* theta) {
  CompensatedSum<V> sum;
  const Activity<T>& activity = work_.tape[0];
  for (Index piece = 0; piece < shapes_.support.count && !stopped(shapes_.support); ++piece) {
    work_.support.load(problem_.net, call_.support, group_, shapes_.support, piece);
    forward(shapes_, theta, work_.support, activity);
    V* const none = nullptr;
    sum.add(output_loss(shapes_.last().fan_out, work_.support,
                        activity.h[NetworkSpec::at(shapes_.depth - 1)], none));
  }
  return sum.value();
}

template <class T>
void GroupRun<T>::run(Group group) {
  switch (problem_.operation) {
    case Operation::predict:
      return with_theta(group, [&](auto* theta) { predict(theta); });
    case Operation::loss:
      return with_theta(group, [&](auto* theta) { write_losses(loss(theta), call_.losses); });
    case Operation::gradient:
      return with_theta(group, [&](auto* theta) {
        write_losses(loss_and_gradient(theta, call_.support, shapes_.support, work_.support,
                                       work_.tape[0], false, work_.vector),
                     call_.losses);
        write(work_.vector, call_.task_vectors);
      });
    case Operation::hvp:
      return with_theta(group, [&](auto* theta) {
        gather_parameters(shapes_, call_.tangent, call_.tangent_stride, group, work_.tangent);
        hessian_vector(theta, 0, 1, work_.tangent, nullptr, work_.vector);
        write(work_.vector, call_.task_vectors);
      });
    default:
      return unroll(group, [&]<class B>(const B* theta) {
        if (call_.task_vectors == nullptr) return;
        if constexpr (std::is_same_v<B, V>) {
          write(theta, call_.task_vectors);
        } else {
          for (Index lane = 0; lane < group.count; ++lane) {
            std::copy_n(call_.theta, shapes_.n_params,
                        call_.task_vectors + (group.first + lane) * shapes_.n_params);
          }
        }
      });
  }
}

template <class T>
void GroupRun<T>::meta_gradient(Group group, bool starts_total, bool flag_vectors) {
  const bool full = group.count == kLanes<T>;
  // In first order the gradients of the queries may be summed where they are formed.
  const bool summed = !shapes_.exact && !flag_vectors && call_.task_vectors == nullptr;
  V* const lambda = starts_total || (full && summed) ? work_.total : work_.vector;
  // The way back moves between two places, a step at a time.
  const bool odd = shapes_.exact && shapes_.steps % 2 == 1;
  V* const last_lambda = odd ? work_.tangent : lambda;
  unroll(group, [&](auto* last) {
    const V loss =
        loss_and_gradient(last, call_.query, shapes_.query, work_.query, work_.query_activity,
                          lambda == work_.total && !starts_total, last_lambda);
    write_losses(loss, call_.losses);
    flag(loss - loss);
  });
  if (shapes_.exact) {
    V* const other = odd ? lambda : work_.tangent;
    const V* const first_lambda =
        problem_.theta_per_task ? reverse(static_cast<const V*>(work_.theta), last_lambda, other)
                                : reverse(shared_.theta, last_lambda, other);
    if (first_lambda != lambda) std::copy_n(first_lambda, shapes_.size, lambda);
  }
  if (flag_vectors) flag(defect_of(lambda, shapes_.size));
  if (call_.task_vectors != nullptr) write(lambda, call_.task_vectors);
  if (lambda != work_.total) add_to_total(lambda);
}

/// Empty lanes add nothing, whatever has become of them.
template <class T>
void GroupRun<T>::add_to_total(const V* lambda) const {
  const auto taken = first_lanes<T>(group_.count) != V{};
  for (Index i = 0; i < shapes_.size; ++i) work_.total[i] += select(taken, lambda[i], V{});
}

template <class T>
void GroupRun<T>::flag(V defect) const {
  T lanes[kLanes<T>];
  store(lanes, defect);
  for (Index lane = 0; lane < group_.count; ++lane) {
    if (!(lanes[lane] == T(0))) call_.diverged[group_.first + lane] = 1;
  }
}

template struct Workspace<float>;
template struct Workspace<double>;
template class GroupRun<float>;
template class GroupRun<double>;

}  // namespace FOMAML_FAST_NAMESPACE::lanes
