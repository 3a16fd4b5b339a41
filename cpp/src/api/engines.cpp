#include "api/engines.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "engines/all.hpp"  // generated from registry.def

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

constexpr const char* kNames[] = {
#define FOMAML_FAST_ENGINE(name) #name,
#include "engines/registry.def"
#undef FOMAML_FAST_ENGINE
};
constexpr int kCount = static_cast<int>(sizeof(kNames) / sizeof(kNames[0]));

int from_environment() {
  const char* wanted = std::getenv("FOMAML_FAST_ENGINE");
  if (wanted == nullptr) return -1;
  for (int i = 0; i < kCount; ++i) {
    if (std::strcmp(wanted, kNames[i]) == 0) return i;
  }
  return -1;
}

std::atomic<int>& forced() {
  static std::atomic<int> index{from_environment()};
  return index;
}

template <class T>
const Engine<T>* engines() {
  static const Engine<T> table[] = {
#define FOMAML_FAST_ENGINE(name) name##_engine<T>(),
#include "engines/registry.def"
#undef FOMAML_FAST_ENGINE
  };
  return table;
}

}  // namespace

int engine_count() { return kCount; }
const char* engine_name(int index) { return kNames[index]; }
void force_engine(int index) { forced().store(index); }
int forced_engine() { return forced().load(std::memory_order_relaxed); }

template <class T>
Engine<T> engine(int index) {
  return engines<T>()[index];
}

template <class T>
int choose_engine(const Problem& problem) {
  if (const int index = forced_engine(); index >= 0) {
    if (engines<T>()[index].unsupported(problem) == nullptr) return index;
    // Traces diagnose the other calls: they are never forced upon an engine that has none.
    if (!problem.wants_trace) return -1;
  }
  int best = -1;
  double least = 0;
  for (int i = 0; i < kCount; ++i) {
    if (engines<T>()[i].unsupported(problem) != nullptr) continue;
    const double cost = engines<T>()[i].cost(problem);
    if (best < 0 || cost < least) {
      best = i;
      least = cost;
    }
  }
  return best;
}

template Engine<float> engine<float>(int);
template Engine<double> engine<double>(int);
template int choose_engine<float>(const Problem&);
template int choose_engine<double>(const Problem&);

}  // namespace FOMAML_FAST_NAMESPACE::api
