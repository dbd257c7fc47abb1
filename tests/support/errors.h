// What a call throws: the type and the words.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <string>
#include <typeinfo>

namespace dlcuda {

/// The message of the error that `action` throws; the test fails if it throws no ErrorType.
template <typename ErrorType, typename Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const ErrorType& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

/// The call throws exactly this error type and its message holds all of the words.
template <typename ErrorType, typename Call, typename... Words>
void expect_error(Call&& call, const Words&... words) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::exception& error) {
    EXPECT_EQ(typeid(error), typeid(ErrorType)) << error.what();
    for (const std::string& word : {std::string(words)...})
      EXPECT_THAT(error.what(), ::testing::HasSubstr(word));
  }
}

}  // namespace dlcuda
