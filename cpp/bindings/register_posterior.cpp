// Posteriors of heads in closed form. Python computes the features, by the network's body.
#include "api/posterior.hpp"
#include "hooks.hpp"

namespace fomaml_fast_bindings {

namespace {

/// Features, theta's last layer and the numbers beside it are of one dtype, as Python made them.
class PosteriorObject {
  template <class Body>
  auto visit(Body&& body) {
    return api::visit_float(posterior_.dtype(), body);
  }

 public:
  PosteriorObject(const api::Network& net, const AlgorithmObject& algorithm, const py::array& head,
                  const py::array& numbers, bool per_output)
      : posterior_(algorithm.algorithm, net,
                   head.itemsize() == 8 ? api::DType::float64 : api::DType::float32, per_output),
        memory_(posterior_.bytes()),
        per_output_(per_output) {
    const bool finite = visit([&]<class T>(T) {
      return posterior_.begin(memory(), static_cast<const T*>(numbers.data()),
                              static_cast<const T*>(head.data()));
    });
    expect_finite(finite);
  }

  /// All rows, or none of them: what overflows, and who interrupts, leaves it as it was.
  void update(const ExamplesObject& rows, const py::array& features, double forget) {
    const std::vector<std::byte> before = memory_;
    bool finite = true;
    visit([&]<class T>(T) {
      const T* const from = static_cast<const T*>(features.data());
      const Index count = rows.examples.rows(), stretch = posterior_.stretch(forget < 1);
      for (Index first = 0; first < count && finite; first += stretch) {
        if (first > 0 && PyErr_CheckSignals() != 0) {
          memory_ = before;
          throw py::error_already_set();
        }
        const py::gil_scoped_release release;
        const Index last = std::min(count, first + stretch);
        finite = posterior_.update(memory(), rows.examples, first, last, from, forget);
      }
    });
    if (!finite) memory_ = before;
    expect_finite(finite);
  }

  py::tuple predict(const py::array& features, bool wants_deviations) {
    return visit([&]<class T>(T) -> py::tuple {
      const Index rows = features.shape(0);
      py::array_t<T> means({rows, posterior_.outputs()});
      py::object deviations = py::none();
      T* spread = nullptr;
      if (wants_deviations) {
        py::array_t<T> made({rows, posterior_.outputs()});
        spread = made.mutable_data();
        deviations = std::move(made);
      }
      const T* const from = static_cast<const T*>(features.data());
      T* const to = means.mutable_data();
      std::vector<T> room(static_cast<std::size_t>(2 * posterior_.features()));
      bool finite = false;
      {
        const py::gil_scoped_release release;
        finite = posterior_.predict(memory(), from, rows, to, spread, room.data());
      }
      expect_finite(finite);
      return py::make_tuple(means, deviations);
    });
  }

  [[nodiscard]] py::bytes bytes() const {
    return {reinterpret_cast<const char*>(memory_.data()), memory_.size()};
  }
  void set_bytes(const std::string& from) {
    if (from.size() != memory_.size()) throw py::value_error("memory is that of another posterior");
    std::copy_n(reinterpret_cast<const std::byte*>(from.data()), from.size(), memory_.data());
  }
  [[nodiscard]] bool per_output() const { return per_output_; }

  py::tuple read() {
    return visit([&]<class T>(T) -> py::tuple {
      const Index m = posterior_.features(), n = posterior_.outputs();
      py::array_t<T> head({m, n}), roots({posterior_.groups(), m, m}), noise(n);
      posterior_.read(memory(), head.mutable_data(), roots.mutable_data(), noise.mutable_data());
      return py::make_tuple(head, roots, noise);
    });
  }

 private:
  std::byte* memory() { return memory_.data(); }
  void expect_finite(bool finite) const {
    api::Fault fault;
    fault.reason = api::Reason::overflowed;
    fault.name = "posterior";
    fault.dtype = posterior_.dtype();
    expect(finite, fault);
  }

  api::Posterior posterior_;
  std::vector<std::byte> memory_;
  bool per_output_;
};

}  // namespace

void register_posterior(py::module_& m) {
  py::class_<PosteriorObject>(m, "Posterior", py::module_local())
      .def(py::init<const api::Network&, const AlgorithmObject&, const py::array&, const py::array&,
                    bool>(),
           py::arg("net"), py::arg("algorithm"), py::arg("head"), py::arg("numbers"),
           py::arg("per_output"))
      .def("update", &PosteriorObject::update, py::arg("rows"), py::arg("features"),
           py::arg("forget"))
      .def("predict", &PosteriorObject::predict, py::arg("features"), py::arg("deviations"),
           "(means, standard deviations or None)")
      .def_property_readonly("per_output", &PosteriorObject::per_output)
      .def_property("memory", &PosteriorObject::bytes, &PosteriorObject::set_bytes,
                    "all that it holds, for one of the same network, algorithm and dtype")
      .def("read", &PosteriorObject::read, "(head [m, n_L], roots [groups, m, m], noise [n_L])");
}

}  // namespace fomaml_fast_bindings
