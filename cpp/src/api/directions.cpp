#include "api/directions.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

/// The first normalisation of the network.
Norm norm_of(const NetworkSpec& net) {
  for (int l = 0; l < net.depth; ++l) {
    if (net.normalized(l)) return net.norm(l);
  }
  return Norm::none;
}

}  // namespace

bool check_directions(const Argument& directions, const Network& net, DType dtype, Fault& fault) {
  fault.name = directions.name;
  const auto wrong = [&](Reason reason) {
    fault.reason = reason;
    return false;
  };
  if (const Norm norm = norm_of(net.spec); norm != Norm::none) {
    fault.text = kNormNames[static_cast<std::size_t>(norm)];
    return wrong(Reason::jets_of_norm);
  }
  if (!directions.given()) return wrong(Reason::missing);
  const Array& array = directions.array();
  fault.dtype = array.dtype;
  fault.shape = array.shape;
  if (!is_float(array.dtype)) return wrong(Reason::not_float);
  if (array.dtype != dtype) {
    fault.other = "theta";
    fault.like = dtype;
    return wrong(Reason::dtype_differs);
  }
  fault.count = net.spec.inputs();
  const bool fits = array.shape.axes == 2 && array.shape[0] > 0 && array.shape[1] == fault.count;
  return fits || wrong(Reason::directions_shape);
}

}  // namespace FOMAML_FAST_NAMESPACE::api
