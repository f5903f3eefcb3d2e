// Runs the generated C++ preprocessor over the cases of a file; see cases.py for the format.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "preprocessor.h"

namespace {

class Reader {
 public:
  explicit Reader(const char* path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
  }

  uint32_t Word() {  // big-endian
    uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word = word << 8 | static_cast<uint8_t>(bytes_.at(at_++));
    return word;
  }

  int Int() { return static_cast<int>(Word()); }

  float Float() {
    const uint32_t word = Word();
    float value;
    std::memcpy(&value, &word, sizeof value);
    return value;
  }

  std::vector<float> Floats(int count) {
    std::vector<float> values;
    for (int i = 0; i < count; ++i) values.push_back(Float());
    return values;
  }

 private:
  std::vector<char> bytes_;
  size_t at_ = 0;
};

edgekit::InputContract ReadContract(Reader& in) {
  int n[9];
  for (int& value : n) value = in.Int();
  const float scale = in.Float();
  const int channels = in.Int();
  const std::vector<float> mean = in.Floats(channels), std = in.Floats(channels);
  return {n[0],      n[1],      n[2],      n[3] == 1, mean,  std, n[4] == 1,
          n[5] == 1, n[6] == 1, static_cast<edgekit::TensorType>(n[7]), scale, n[8]};
}

}  // namespace

int main(int, char** arguments) {
  Reader in(arguments[1]);
  std::ofstream out(arguments[2], std::ios::binary);
  for (int cases = in.Int(); cases > 0; --cases) {
    const edgekit::Preprocessor preprocessor(ReadContract(in));
    const int width = in.Int(), height = in.Int();
    std::vector<uint8_t> pixels;
    for (int i = 0; i < width * height; ++i) {
      const uint32_t argb = in.Word();
      for (const int shift : {16, 8, 0, 24}) pixels.push_back(static_cast<uint8_t>(argb >> shift));
    }
    const std::vector<uint8_t> tensor = preprocessor.Apply(pixels.data(), width, height, 4);
    for (int shift = 24; shift >= 0; shift -= 8) out.put(static_cast<char>(tensor.size() >> shift));
    out.write(reinterpret_cast<const char*>(tensor.data()), static_cast<std::streamsize>(tensor.size()));
  }
  return out.good() ? EXIT_SUCCESS : EXIT_FAILURE;
}
