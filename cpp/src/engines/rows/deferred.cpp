#include "engines/rows/deferred.hpp"

#include "engines/rows/elementwise.hpp"
#include "engines/rows/products.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace {

// From here on a partial sum per block of tasks costs more than keeping the rows.
constexpr Index kManyParameters = 48 * 1024;
// Room for a round: bounds the memory, whatever the number of tasks.
constexpr Index kRoundRows = 4096;
// Numbers of the gradient in a chunk, and rows summed before the next chunk's turn in the cache:
// the chunk, and a block of the rows' inputs and deltas, share the second-level cache.
constexpr Index kChunkSize = 32 * 1024;
constexpr Index kBlockRows = 128;
// Rows whose blocks are added one after another.
constexpr Index kLatestRows = 4096;

Index rows_of_round(const RowShape& shape) {
  return std::max(shape.longest, std::min(shape.total, kRoundRows));
}

/// Rows of tasks first … task - 1. CallBuffers rows are kept once per task.
template <class T>
Index rows_before(const RowSet<T>& set, Index first, Index task) {
  return set.shared ? (task - first) * set.count(0) : set.offsets[task] - set.offsets[first];
}

}  // namespace

template <class T>
DeferredShape<T>::DeferredShape(const Problem& problem, const Shapes<T>& shapes)
    : exact(problem.algorithm.flow == Flow::exact && problem.algorithm.steps > 0) {
  if (problem.wants_task_gradients || shapes.packed_parameters < kManyParameters) return;
  if (exact && !shapes.dual) return;
  layers = exact ? 1 : shapes.depth;
  query_rows = rows_of_round(problem.query);
  if (exact) support_rows = rows_of_round(problem.support);
  // Fewer tasks of few rows are added one after another: that is a tenth faster.
  const Index all = problem.query.total + (exact ? problem.support.total : 0);
  many = all > kLatestRows || problem.query.longest > kFewTerms ||
         (exact && problem.support.longest > kFewTerms);
}

template <class T>
Deferred<T>::Deferred(const Problem& problem, const Shapes<T>& shapes, Arena& arena)
    : shape_(problem, shapes) {
  if (!any()) return;
  if (shape_.exact) {
    deltas_ = arena.take<T>(shape_.query_rows * shapes[0].out_stride);
    sums_ = arena.take<T>(shape_.support_rows * shapes[0].out_stride);
  } else {
    query_ = Pass<T>::carve(shapes, shape_.query_rows, Keep::deltas, arena, 1, 0, false);
  }
  total_ = arena.take<T>(shapes.packed_parameters);
  if (shape_.many) {
    sum_ = arena.take<T>(shapes.packed_parameters);
    error_ = arena.take<T>(shapes.packed_parameters);
  }
}

template <class T>
Round Deferred<T>::round_from(const Frame<T>& frame, Index first) const {
  if (!any()) return {first, frame.problem.tasks};
  Index last = first;
  do {
    ++last;
  } while (
      last < frame.problem.tasks &&
      rows_before(frame.call.query, first, last + 1) <= shape_.query_rows &&
      (!shape_.exact || rows_before(frame.call.support, first, last + 1) <= shape_.support_rows));
  return {first, last};
}

template <class T>
Pass<T> Deferred<T>::query_pass(const Frame<T>& frame, Round round, Index task) const {
  return query_.from_row(rows_before(frame.call.query, round.first, task));
}

template <class T>
T* Deferred<T>::query_deltas(const Frame<T>& frame, Round round, Index task) const {
  return deltas_ + rows_before(frame.call.query, round.first, task) * frame.shapes[0].out_stride;
}

template <class T>
T* Deferred<T>::support_sums(const Frame<T>& frame, Round round, Index task) const {
  return sums_ + rows_before(frame.call.support, round.first, task) * frame.shapes[0].out_stride;
}

template <class T>
Index Deferred<T>::chunks(const Shapes<T>& shapes, int l) const {
  const Index size = shapes[l].fan_in * shapes[l].out_stride;
  return std::clamp<Index>((size + kChunkSize - 1) / kChunkSize, 1, shapes[l].fan_in);
}

template <class T>
void Deferred<T>::add(const Frame<T>& frame, Round round, Team& team) const {
  const Shapes<T>& shapes = frame.shapes;
  Index count = 0;
  for (int l = 0; l < shape_.layers; ++l) count += chunks(shapes, l);
  team.share(count, [&](Index i) {
    int l = 0;
    for (; i >= chunks(shapes, l); ++l) i -= chunks(shapes, l);
    const Index inputs = shapes[l].fan_in, of_layer = chunks(shapes, l);
    add_chunk(frame, round, {l, inputs * i / of_layer, inputs * (i + 1) / of_layer});
  });
}

template <class T>
void Deferred<T>::add_chunk(const Frame<T>& frame, Round round, Chunk chunk) const {
  // Only without a sum does total_ hold the rounds before.
  bool from_zero = round.first == 0 || sum_ != nullptr;
  const int l = chunk.layer;
  if (round.first == 0 && sum_ != nullptr) {
    for_each_part(frame.shapes, chunk, [&](Index first, Index count) {
      std::fill_n(sum_ + first, count, T(0));
      std::fill_n(error_ + first, count, T(0));
    });
  }
  if (shape_.exact) {
    add_side(frame, round, chunk, {&frame.call.query, nullptr, deltas_}, from_zero);
    add_side(frame, round, chunk, {&frame.call.support, nullptr, sums_}, from_zero);
  } else {
    add_side(frame, round, chunk,
             {&frame.call.query, l == 0 ? nullptr : query_.h(l - 1), query_.d(l, 0)}, from_zero);
  }
  if (sum_ != nullptr) add_latest(frame.shapes, chunk);
  if (round.last == frame.problem.tasks) write(frame, chunk);
}

template <class T>
void Deferred<T>::add_side(const Frame<T>& frame, Round round, Chunk chunk, const Side& side,
                           bool& from_zero) const {
  const Layer& layer = frame.shapes[chunk.layer];
  const Index all = rows_before(*side.set, round.first, round.last);
  const Index inputs = chunk.to - chunk.from;
  const Columns<T> to =
      packed_panels(total_ + layer.weight + chunk.from * layer.out_stride, inputs);
  // The network's inputs are the user's: one stretch of rows, or the same rows for every task.
  const bool repeats = side.inputs == nullptr && side.set->shared;
  const T* a = side.inputs != nullptr ? side.inputs
                                      : side.set->x + side.set->first(round.first) * layer.fan_in;
  const Index run = repeats ? side.set->count(0) : all;
  Index latest = 0;
  Watch& watch = Watch::of_thread();
  for (Index done = 0; done < all; done += run) {
    for (Index row = 0; row < run; row += kBlockRows) {
      if (watch.stopped(2 * kBlockRows * inputs * layer.out_stride)) return;
      const T* block = a + (repeats ? row : done + row) * layer.in_stride + chunk.from;
      const T* deltas = side.deltas + (done + row) * layer.out_stride;
      const Index rows = std::min(kBlockRows, run - row);
      const Product<T> product{inputs,
                               layer.out_vectors,
                               rows,
                               {block, 1, layer.in_stride},
                               row_major(deltas, layer.out_stride),
                               from_zero ? zeros<T>() : to,
                               to};
      if (shape_.many && !from_zero) {
        multiply_accumulate(product);
      } else {
        multiply_add(product);
      }
      if (chunk.from == 0) {
        T* bias = total_ + layer.bias;
        if (from_zero) std::fill_n(bias, layer.out_stride, T(0));
        add_rows<T>(deltas, rows, layer.out_stride, bias, bias);
      }
      from_zero = false;
      latest += rows;
      if (latest < kLatestRows || sum_ == nullptr) continue;
      add_latest(frame.shapes, chunk);
      from_zero = true;
      latest = 0;
    }
  }
}

template <class T>
void Deferred<T>::add_latest(const Shapes<T>& shapes, Chunk chunk) const {
  for_each_part(shapes, chunk, [&](Index first, Index count) {
    accumulate(total_ + first, count, T(1), sum_ + first, error_ + first);
    std::fill_n(total_ + first, count, T(0));
  });
}

template <class T>
void Deferred<T>::write(const Frame<T>& frame, Chunk chunk) const {
  const Layer& layer = frame.shapes[chunk.layer];
  const Index inputs = chunk.to - chunk.from, size = inputs * layer.out_stride;
  T* const total = sum_ != nullptr ? sum_ : total_;
  T* weight = total + layer.weight + chunk.from * layer.out_stride;
  sum_terms<T>(weight, 1, 0, size, frame.call.grad_scale, weight);
  T* grad = frame.call.grad + layer.flat.weight + chunk.from * layer.fan_out;
  for (Index i = 0; i < panel_count(layer.out_vectors); ++i) {
    copy_from_panel(weight, inputs, layer.fan_out, i, grad);
  }
  if (chunk.from != 0) return;
  T* bias = total + layer.bias;
  sum_terms<T>(bias, 1, 0, layer.out_stride, frame.call.grad_scale, bias);
  std::copy_n(bias, layer.fan_out, frame.call.grad + layer.flat.bias);
}

template struct DeferredShape<float>;
template struct DeferredShape<double>;
template class Deferred<float>;
template class Deferred<double>;

}  // namespace FOMAML_FAST_NAMESPACE::rows
