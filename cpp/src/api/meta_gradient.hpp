// The meta-gradient of a batch, and the outer step that follows it.
#pragma once

#include "api/algorithm.hpp"
#include "api/examples.hpp"
#include "outer/step.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

struct MetaArguments {
  const Network* net = nullptr;
  const Algorithm* algorithm = nullptr;
  const Examples *support = nullptr, *query = nullptr;
  const void* task_weights = nullptr;  ///< [T] in theta's dtype, or null; checked with the batch
  Argument theta{};                    ///< [P]
  Argument rates{};
  bool mean = true;    ///< over tasks, or their sum
  bool drops = false;  ///< tasks that diverge are left out; if not, the call reports them
  bool check_finite = true;
};

bool check(const MetaArguments& arguments, Fault& fault);

/// Where results go, and what the call found.
template <class T>
struct MetaResults {
  T* grad = nullptr;            ///< [P]
  T* losses = nullptr;          ///< [T]: of the query sets
  T* losses_before = nullptr;   ///< [T]: the same before adaptation, or null
  T* support_losses = nullptr;  ///< [T]: at theta, or null
  T* task_grads = nullptr;      ///< [T, P], or null
  T* rate_grad = nullptr;       ///< in the shape of the rates given; null unless they are learned
  std::uint8_t* diverged = nullptr;  ///< [T]
  SolverReport<T> solver{};          ///< of the implicit flow
  double loss = 0;
  Index n_diverged = 0;
  int first_bad_step = 0;  ///< of any task that diverged, where the call reports them
  bool finite = true;      ///< whether the gradients are, over the tasks that are kept
};

/// Status::diverged: tasks diverged, and either none is left or the call does not drop them.
template <class T>
Status meta_gradient(const MetaArguments& arguments, const Execution& execution,
                     MetaResults<T>& results);

/// A problem of such a call, for a plan: what engines decide by, but for the rates.
Problem meta_problem(const MetaArguments& arguments);

}  // namespace FOMAML_FAST_NAMESPACE::api
