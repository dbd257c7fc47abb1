// A stdio stream whose content a test can read.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace dlcuda {

class CapturedFile {
 public:
  CapturedFile() : file_(open_memstream(&data_, &size_)) {}
  CapturedFile(const CapturedFile&) = delete;
  CapturedFile& operator=(const CapturedFile&) = delete;
  ~CapturedFile() {
    std::fclose(file_);
    std::free(data_);
  }
  std::FILE* get() const { return file_; }
  std::string text() const {
    std::fflush(file_);
    return {data_, size_};
  }

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* file_;
};

}  // namespace dlcuda
