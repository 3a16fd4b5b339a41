#include "api/operations.hpp"

#include "engines/work.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

double operations(const Problem& problem) {
  return FOMAML_FAST_NAMESPACE::operations(problem, PassCosts::nominal(problem.net));
}

}  // namespace FOMAML_FAST_NAMESPACE::api
