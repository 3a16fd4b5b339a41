#include "api/head.hpp"

#include <algorithm>

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

/// A row's weight is how much its noise is less.
bool weights_hold(const Examples& support, Fault& fault) {
  if (support.weights == nullptr) return true;
  return visit_float(support.dtype, [&]<class T>(T) {
    const T* const weights = static_cast<const T*>(support.weights);
    const Index columns = support.weight_columns(), count = support.rows() * columns;
    const T* const bad = std::find_if(weights, weights + count, [](T w) { return w < T(0); });
    if (bad == weights + count) return true;
    fault.name = support.weights_name;
    fault.value = static_cast<double>(*bad);
    fault.reason = Reason::head_weights;
    return false;
  });
}

}  // namespace

bool head_fits(const Algorithm& algorithm, const Network& net, const Examples& support,
               Fault& fault) {
  const inner::HeadSpec& head = algorithm.spec.head;
  if (!head.given()) return true;
  if (head.predictive && facts_of(net.spec.loss).targets != Targets::values) {
    fault.name = "query_loss";
    fault.text = kLossNames[static_cast<std::size_t>(net.spec.loss.id)];
    fault.reason = Reason::predictive_wants_numbers;
    return false;
  }
  return weights_hold(support, fault);
}

}  // namespace FOMAML_FAST_NAMESPACE::api
