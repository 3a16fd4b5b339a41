#include "engines/lanes/general_path.hpp"

#include "base/finite.hpp"
#include "engines/adapted_of.hpp"
#include "engines/lanes/group_total.hpp"
#include "engines/lanes/output_loss.hpp"
#include "engines/unroll.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

namespace {

/// The lowest layer whose inputs, or parameters, adapt.
int first_layer(const Problem& problem) {
  return problem.algorithm.context > 0 ? 0 : problem.first_moving();
}

/// Packed parameters, then the context.
Index vector_size(const Problem& problem, const Shapes& shapes) {
  return shapes.size + problem.algorithm.context;
}

}  // namespace

template <class T>
GeneralPathBuffers<T>::GeneralPathBuffers(const Problem& problem, const Shapes& shapes,
                                          const PartialSums<T>& sums, Arena& arena) {
  const int first = first_layer(problem);
  std::size_t taken = 0;
  const auto take = [&](Index count) {
    V* const these = take_vectors<V>(shapes, count, arena, problem.algorithm.context);
    all.at(taken++) = {these, count};
    return these;
  };
  vectors = meta::Vectors<V>::carve(problem.algorithm, shapes.meta, problem.wants_trace,
                                    vector_size(problem, shapes), rate_count(problem, shapes),
                                    arena, take);
  if (problem.algorithm.context > 0) context_sums = arena.take<V>(2 * shapes[0].fan_out);
  support = LaneRows<T>::carve(problem, problem.support, shapes.support, arena);
  if (shapes.meta || problem.wants_trace) {
    query = LaneRows<T>::carve(problem, problem.query, shapes.query, arena);
    query_activity = Activity<T>::carve(shapes, shapes.query.rows, shapes.meta, arena);
  }
  if (shapes.meta) {
    lambda = take(1);
    total = arena.take<V>(sums.size);
    if (shapes.long_blocks) totals = {total, arena.take<V>(sums.size), arena.take<V>(sums.size)};
  }
  const int slots = vectors.taped ? std::max(1, shapes.steps) : 1;
  tape = arena.take<Activity<T>>(slots);
  for (int k = 0; k < slots; ++k) {
    Activity<T> carved = Activity<T>::carve(shapes, shapes.support.rows, true, arena);
    if (arena.counting()) continue;
    // What does not adapt is the same at every step.
    for (int l = 0; k > 0 && l < first; ++l) {
      const std::size_t i = NetworkSpec::at(l);
      carved.h[i] = tape[0].h[i];
      carved.s[i] = tape[0].s[i];
      carved.norms[i] = tape[0].norms[i];
    }
    tape[k] = carved;
  }
  if (!problem.takes_hessians()) return;
  tangents = Tangents<T>::carve(shapes, shapes.support.rows, arena);
  if (first > 0) below_first = arena.take<V>(shapes.support.rows * shapes[first - 1].stride);
}

/// The group as the flows see it.
template <class T>
class GeneralPath<T>::Tasks {
 public:
  explicit Tasks(const GeneralPath& path)
      : path_(path),
        shapes_(path.shapes_),
        body_(path.shapes_),
        net_(path.problem_.net),
        buffers_(path.buffers_),
        first_(first_layer(path.problem_)) {
    body_.depth = first_;
    const V* const start = buffers_.vectors.theta(0);
    load_support(0);
    forward(body_, start, buffers_.support, buffers_.tape[0]);
  }

  void use_step(int k) {
    if (!path_.problem_.support.stepped || k == step_) return;
    step_ = k;
    load_support(k);
  }
  V support_gradient(int k, const V* theta, V* g) {
    const Activity<T>& kept = buffers_.tape[k];
    const V loss = support_loss(k, theta, kept.d[top()]);
    if (context() > 0) {
      deltas(shapes_, theta, buffers_.support, kept);
      context_gradient(theta, delta_sums(kept.d[0], buffers_.support.rows, 0), g);
    } else {
      gradient(shapes_, theta, buffers_.support, kept, false, g, first_);
    }
    return loss;
  }
  V support_loss(int k, const V* theta, V* d) {
    const Activity<T>& kept = buffers_.tape[k];
    set_context(buffers_.support, theta);
    forward(shapes_, theta, buffers_.support, kept, first_);
    return output_loss(net_.outputs(), buffers_.support, kept.h[top()], d);
  }
  void add_hessian(int k, const V* theta, const V* v, bool all, V* to) {
    if (context() > 0) return add_context_hessian(k, theta, v, to);
    V* below = nullptr;
    if (all && first_ > 0) {
      below = buffers_.below_first;
      if (!put_off_) {
        std::fill_n(below, buffers_.support.rows * shapes_[first_ - 1].stride, V{});
        put_off_ = true;
      }
    }
    hessian_vector(shapes_, theta, buffers_.support, buffers_.tape[k], v, buffers_.tangents, to, to,
                   first_, below);
  }
  /// The layers below `first` are linear in what comes down to them: once for all steps.
  void finish(V* to) {
    if (!put_off_) return;
    put_off_ = false;
    Activity<T> activity = buffers_.tape[0];
    for (int l = 0; l < first_; ++l) {
      const std::size_t i = NetworkSpec::at(l);
      V* const outputs = l == first_ - 1 ? buffers_.below_first : buffers_.tangents.rz[i];
      activity.d[i] = buffers_.tangents.rd[i];
      activity.dh[i] = activity.du[i] = outputs;
      if (!shapes_[l].normalized()) activity.d[i] = outputs;
    }
    const V* const start = buffers_.vectors.theta(0);
    through_layer(shapes_, start, first_ - 1, buffers_.support, activity);
    gradient(body_, start, buffers_.support, activity, true, to);
  }

  V query_gradient(const V* theta, V* g) {
    const Activity<T>& activity = buffers_.query_activity;
    const V loss = query_outputs(theta, activity.d[top()]);
    gradient(shapes_, theta, buffers_.query, activity, false, g);
    if (context() > 0) context_gradient(theta, g + shapes_[0].bias, g);
    return loss;
  }
  V query_loss(const V* theta) { return query_outputs(theta, nullptr); }

  V support_loss(const V* theta) { return support_loss(0, theta, nullptr); }
  [[nodiscard]] V defect(const V* theta) const { return defect_of(theta, path_.adapted_.size); }
  template <class Where>
  void write(const V* theta, const Where& where) const {
    LaneArrays<T> to{};
    for (std::size_t lane = 0; lane < static_cast<std::size_t>(path_.group_.count); ++lane) {
      to.data[lane] = where(static_cast<int>(lane));
      to.count[lane] = to.data[lane] == nullptr ? 0 : path_.problem_.n_adapted();
    }
    path_.write_adapted(theta, to);
  }

 private:
  void load_support(int k) {
    buffers_.support.load(net_, path_.call_.support.at_step(k), path_.group_, shapes_.support, 0);
  }
  [[nodiscard]] std::size_t top() const { return NetworkSpec::at(shapes_.depth - 1); }

  [[nodiscard]] Index context() const { return path_.problem_.algorithm.context; }
  /// C, the last rows of W_0: what the context goes through.
  const V* context_weight(const V* theta) const {
    return theta + shapes_[0].bias - context() * shapes_[0].stride;
  }
  void set_context(const LaneRows<T>& rows, const V* theta) const {
    if (context() > 0) rows.set_context(net_, theta + shapes_.size);
  }
  /// Sums over the rows of a gradient on z_0, in place `slot` of two; 0 as that of b_0 is.
  const V* delta_sums(const V* d, Index rows, int slot) const {
    const Index units = shapes_[0].fan_out;
    V* const sums = buffers_.context_sums + slot * units;
    std::fill_n(sums, units, V{});
    if (shapes_[0].norm == Norm::batch) rows = 0;
    for (Index row = 0; row < rows; ++row, d += shapes_[0].stride) {
      for (Index unit = 0; unit < units; ++unit) sums[unit] += d[unit];
    }
    return sums;
  }
  V along_context(const V* theta, Index i, const V* sums) const {
    const V* const weight = context_weight(theta) + i * shapes_[0].stride;
    V total{};
    for (Index unit = 0; unit < shapes_[0].fan_out; ++unit) total += weight[unit] * sums[unit];
    return total;
  }
  /// The context's part of a gradient.
  void context_gradient(const V* theta, const V* sums, V* g) const {
    V* const phi = g + shapes_.size;
    for (Index i = 0; i < context(); ++i) phi[i] = along_context(theta, i, sums);
  }
  /// For a v that is 0 but for the context, whose columns of x are parameters to the pass.
  void add_context_hessian(int k, const V* theta, const V* v, V* to) {
    const Activity<T>& kept = buffers_.tape[k];
    const Index units = shapes_[0].fan_out, stride = shapes_[0].stride;
    const Index rows = buffers_.support.rows;
    const V* const v_phi = v + shapes_.size;
    V* const pushed = buffers_.context_sums;
    std::copy_n(v + shapes_[0].bias, units, pushed);
    for (Index i = 0; i < context(); ++i) {
      const V* const weight = context_weight(theta) + i * stride;
      for (Index unit = 0; unit < units; ++unit) pushed[unit] += v_phi[i] * weight[unit];
    }
    Tangents<T> tangents = buffers_.tangents;
    tangents.lowest_bias = pushed;
    set_context(buffers_.support, theta);
    hessian_vector(shapes_, theta, buffers_.support, kept, v, tangents, to, to);

    const V* const sums = delta_sums(kept.d[0], rows, 0);
    const V* const r_sums = delta_sums(tangents.rd[0], rows, 1);
    V* const to_weight = to + (context_weight(theta) - theta);
    for (Index i = 0; i < context(); ++i) {
      for (Index unit = 0; unit < units; ++unit) {
        to_weight[i * stride + unit] += v_phi[i] * sums[unit];
      }
      to[shapes_.size + i] += along_context(theta, i, r_sums) + along_context(v, i, sums);
    }
  }

  V query_outputs(const V* theta, V* d) {
    const Activity<T>& activity = buffers_.query_activity;
    if (!has_query_) {
      has_query_ = true;
      buffers_.query.load(net_, path_.call_.query, path_.group_, shapes_.query, 0);
      forward(body_, buffers_.vectors.theta(0), buffers_.query, activity);
    }
    set_context(buffers_.query, theta);
    forward(shapes_, theta, buffers_.query, activity, first_);
    return output_loss(net_.outputs(), buffers_.query, activity.h[top()], d);
  }

  const GeneralPath& path_;
  const Shapes& shapes_;
  Shapes body_;  ///< the layers below `first`
  const NetworkSpec& net_;
  GeneralPathBuffers<T> buffers_;
  int first_;     ///< the lowest layer that adapts
  int step_ = 0;  ///< whose support rows are loaded
  bool put_off_ = false;
  bool has_query_ = false;
};

template <class T>
GeneralPath<T>::GeneralPath(const Problem& problem, const Shapes& shapes, const Call<T>& call,
                            const CallBuffers<T>& shared, const GeneralPathBuffers<T>& buffers)
    : problem_(problem),
      shapes_(shapes),
      call_(call),
      shared_(shared),
      buffers_(buffers),
      inputs_{problem.algorithm, adapted_,
              buffers.vectors,   !problem.algorithm.adapts_all(shapes.depth),
              call.step_weights, kLanes<T> * problem.step_work()} {
  for (int l = 0; l < shapes.depth; ++l) {
    if (!problem.algorithm.adapts(l)) continue;
    segments_[static_cast<std::size_t>(adapted_.count++)] = {shapes[l].weight, shapes[l].end, l};
  }
  adapted_.segments = segments_.data();
  adapted_.size = vector_size(problem, shapes);
  if (problem.algorithm.context > 0) {  // phi stands behind theta, and has one rate
    segments_[0] = {shapes.size, adapted_.size, 0};
    adapted_.count = 1;
  }
  adapted_.rates = rates_of(problem, call, shared.rates);
}

/// theta_0 of the group, and what does not adapt of its successors.
template <class T>
void GeneralPath<T>::start(Group group) {
  group_ = group;
  if (has_start_) return;
  V* const start = buffers_.vectors.theta(0);
  if (problem_.theta_per_task) {
    gather_parameters(shapes_, call_.theta, call_.theta_stride, group, start);
  } else {
    for (Index i = 0; i < shapes_.size; ++i) start[i] = broadcast<V>(shared_.theta[i]);
    has_start_ = true;
  }
  std::fill_n(start + shapes_.size, problem_.algorithm.context, V{});
  fill_frozen(start);
}

template <class T>
void GeneralPath<T>::fill_frozen(const V* start) const {
  const int later = std::min(buffers_.vectors.slots - 1, shapes_.steps);
  for (int l = 0; l < shapes_.depth; ++l) {
    if (problem_.algorithm.adapts(l)) continue;
    const Index from = shapes_[l].weight, end = shapes_[l].end;
    for (int k = 1; k <= later && !inputs_.watch.stopped(shapes_.size); ++k) {
      std::copy(start + from, start + end, buffers_.vectors.theta(k) + from);
    }
  }
}

template <class T>
Vec<T> GeneralPath<T>::unroll(Tasks& tasks) {
  const V wrong =
      FOMAML_FAST_NAMESPACE::unroll(problem_, call_, group_.first, group_.count, inputs_, tasks);
  return wrong + defect_of(buffers_.vectors.theta(shapes_.steps), adapted_.size);
}

template <class T>
void GeneralPath<T>::adapt(Group group) {
  start(group);
  Tasks tasks(*this);
  flag(unroll(tasks));
  if (call_.task_vectors != nullptr) {
    const Index n = problem_.n_adapted();
    write_adapted(buffers_.vectors.theta(shapes_.steps),
                  LaneArrays<T>::of(call_.task_vectors, n, n, group_));
  }
}

template <class T>
void GeneralPath<T>::meta_gradient(Group group, bool starts_total) {
  start(group);
  Tasks tasks(*this);
  V wrong = unroll(tasks);
  meta::Solution<V> solution;
  const V loss = meta::meta_gradient(inputs_, tasks, buffers_.lambda, solution);
  write_numbers(loss, group_.count, call_.losses + group_.first);
  wrong += meta::defect(loss) + meta::defect(solution.residual) +
           defect_of(buffers_.lambda, shapes_.size) +
           defect_of(buffers_.vectors.co_rate, buffers_.vectors.n_rates);
  flag(wrong);
  report(call_, group_.first, group_.count, solution);
  if (call_.task_vectors != nullptr) {
    scatter_parameters(
        shapes_, buffers_.lambda,
        LaneArrays<T>::of(call_.task_vectors, shapes_.n_params, shapes_.n_params, group_));
  }
  add_to_total(call_, group_,
               {buffers_.lambda, shapes_.size, buffers_.vectors.co_rate, buffers_.vectors.n_rates},
               starts_total, buffers_.total);
}

template <class T>
void GeneralPath<T>::flag(V defect) const {
  bool any = false;
  for (int lane = 0; lane < kLanes<T>; ++lane) {
    if (defect[lane] == T(0)) continue;
    any = true;
    if (lane < group_.count) call_.diverged[group_.first + lane] = 1;
  }
  // The lane's next task starts clean: NaN times the 0 between rows is NaN.
  if (any) buffers_.clear(shapes_, problem_.algorithm.context);
}

/// What adapts of theta: all of it, or the context behind it.
template <class T>
void GeneralPath<T>::write_adapted(const V* theta, const LaneArrays<T>& to) const {
  const Index context = problem_.algorithm.context;
  if (context == 0) return scatter_parameters(shapes_, theta, to);
  scatter(theta + shapes_.size, context, to);
}

template struct GeneralPathBuffers<float>;
template struct GeneralPathBuffers<double>;
template class GeneralPath<float>;
template class GeneralPath<double>;

}  // namespace FOMAML_FAST_NAMESPACE::lanes
