// Many learners in one call: each has a theta, rates and moments of its own.
//
// A learner's part is what a call of its own would compute, on one thread where learners share the
// threads out among them. Results do not depend on threads: every learner's bits are those of its
// own call.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// What `learner` computes, as `execution` says.
using LearnerPart = Status (*)(void* context, Index learner, const Execution& execution);

/// Runs `part` for learners 0 … count - 1, of which each one's work is about `one`, and writes how
/// each ended. The status returned concerns the call: ok, interrupted, out_of_memory or
/// unsupported. Learners may have diverged.
Status run_learners(Index count, const Problem& one, const Execution& execution, LearnerPart part,
                    void* context, Status* ended);

template <class Body>
Status run_learners(Index count, const Problem& one, const Execution& execution, Status* ended,
                    const Body& body) {
  return run_learners(
      count, one, execution,
      [](void* context, Index learner, const Execution& on) {
        return (*static_cast<const Body*>(context))(learner, on);
      },
      const_cast<Body*>(&body), ended);
}

}  // namespace FOMAML_FAST_NAMESPACE::api
