// All operations of one group of tasks, in one worker's buffers.
#pragma once

#include "engines/lanes/packing.hpp"
#include "engines/lanes/pass.hpp"
#include "engines/per_task.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// One worker's buffers.
template <class T>
struct Workspace {
  using V = Vec<T>;

  Workspace(const Problem& problem, const Shapes& shapes, Arena& arena);

  // Packed parameters, each of shapes.size:
  V* theta = nullptr;     ///< the tasks' own, where they differ from the start
  V* adapted = nullptr;   ///< theta_1 … theta_S if exact, else the latest only
  V* vector = nullptr;    ///< gradient, Hv or cotangent of the group
  V* tangent = nullptr;   ///< what a Hessian multiplies; the way back's other place
  V* gradient = nullptr;  ///< of a support set in pieces
  V* total = nullptr;     ///< meta-gradients of a block's groups, added up
  LongSum<V> totals;      ///< of many groups: total is then the latest
  LongSum<V> pieces;      ///< gradients, or Hv, of the pieces of many rows
  LaneRows<T> support, query;
  Activity<T>* tape = nullptr;  ///< of every step if all are kept, else of the latest
  bool taped = false;
  Activity<T> query_activity;
  Tangents<T> tangents;
};

template <class T>
class GroupRun {
 public:
  using V = Vec<T>;

  GroupRun(const Problem& problem, const Shapes& shapes, const Call<T>& call,
           const CallBuffers<T>& shared, const Workspace<T>& workspace)
      : problem_(problem), shapes_(shapes), call_(call), shared_(shared), work_(workspace) {}

  /// Any operation but meta_gradient.
  void run(Group group);

  /// Query losses and flags of one group; its meta-gradients are added to the workspace's total,
  /// or start it, empty lanes holding anything. Those that are not finite are flagged if
  /// `flag_vectors`.
  void meta_gradient(Group group, bool starts_total, bool flag_vectors);

 private:
  template <class Body>
  void with_theta(Group group, Body&& body);
  /// The support rows that step k sees, unless they are read in pieces.
  void load_support(int k);
  template <class B>
  V step(const B* from, int k, V* to);
  template <class Finish>
  void unroll(Group group, Finish&& finish);
  template <class AddPiece>
  void sum_pieces(const Pieces& pieces, const AddPiece& add_piece) const;
  template <class B>
  V loss_and_gradient(const B* theta, const RowSet<T>& set, const Pieces& pieces, LaneRows<T>& rows,
                      const Activity<T>& activity, bool add, V* to);
  template <class B>
  void hessian_vector(const B* theta, int k, T scale, const V* v, const V* from, V* to);
  template <class B>
  const V* reverse(const B* theta, V* lambda, V* other);
  template <class B>
  void predict(const B* theta);
  template <class B>
  V loss(const B* theta);

  /// Before a pass over a piece of the rows: whether the caller wants to stop.
  [[nodiscard]] bool stopped(const Pieces& pieces) const {
    return watch_.stopped(kLanes<T> * problem_.gradient_work(pieces.rows));
  }
  void write_losses(V losses, T* to) const {
    write_numbers(losses, group_.count, to + group_.first);
  }
  void flag(V defect) const;
  void add_to_total(const V* lambda) const;
  /// Packed parameters as the tasks' own flat vectors.
  void write(const V* vector, T* to) const {
    scatter_parameters(shapes_, vector,
                       LaneArrays<T>::of(to, shapes_.n_params, shapes_.n_params, group_));
  }
  V* adapted(int k) const { return work_.adapted + (shapes_.exact ? k : 0) * shapes_.size; }
  Activity<T>& activity(int k) const { return work_.tape[work_.taped ? k : 0]; }

  const Problem& problem_;
  const Shapes& shapes_;
  const Call<T>& call_;
  const CallBuffers<T>& shared_;
  Workspace<T> work_;
  Group group_{};
  Watch& watch_ = Watch::of_thread();
};

}  // namespace FOMAML_FAST_NAMESPACE::lanes
