// SPDX-License-Identifier: MIT
// An intrusive list: linking never allocates, and a link takes itself out when it is destroyed.
#pragma once

#include <synfp/version.hpp>

SYNFP_BEGIN_NAMESPACE
namespace io::detail {

class list;

/// Base class of what can be in a list.
class list_link {
 public:
  constexpr list_link() noexcept = default;
  list_link(const list_link&) = delete;
  list_link& operator=(const list_link&) = delete;
  ~list_link() { unlink(); }

  bool linked() const noexcept { return next_ != nullptr; }
  void unlink() noexcept {
    if (next_ == nullptr) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
  }

 private:
  friend class list;
  list_link* next_ = nullptr;
  list_link* prev_ = nullptr;
};

/// Circular through its own head, which is tied up at the first push: so a thread_local list needs no dynamic
/// initialisation.
class list {
 public:
  constexpr list() noexcept = default;
  list(const list&) = delete;
  list& operator=(const list&) = delete;
  ~list() {
    while (pop_front() != nullptr) {
    }
  }

  bool empty() const noexcept { return head_.next_ == nullptr || head_.next_ == &head_; }
  list_link* front() const noexcept { return empty() ? nullptr : head_.next_; }

  /// `link` must not be in a list.
  void push_back(list_link& link) noexcept {
    if (head_.next_ == nullptr) head_.next_ = head_.prev_ = &head_;
    link.prev_ = head_.prev_;
    link.next_ = &head_;
    head_.prev_->next_ = &link;
    head_.prev_ = &link;
  }
  void push_front(list_link& link) noexcept {
    if (empty()) {
      push_back(link);
      return;
    }
    link.prev_ = &head_;
    link.next_ = head_.next_;
    head_.next_->prev_ = &link;
    head_.next_ = &link;
  }
  list_link* pop_front() noexcept {
    list_link* link = front();
    if (link != nullptr) link->unlink();
    return link;
  }
  /// Moves everything from `other` to the end of this one.
  void splice(list& other) noexcept {
    while (list_link* link = other.pop_front()) push_back(*link);
  }

 private:
  list_link head_;
};

}  // namespace io::detail
SYNFP_END_NAMESPACE
