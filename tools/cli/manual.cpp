// SPDX-License-Identifier: MIT
#include "manual.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>  // join

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string_view>
#include <synfp/version.hpp>
#include <utility>
#include <vector>

namespace cli {
namespace {

constexpr std::size_t columns = 100;

/// "FORMAT" of "FORMAT:{table,json}", which is what {CLI11} makes of a type and its checks; empty for a flag.
std::string value_name(const CLI::Option& o) {
  const std::string type = o.get_type_name();
  return o.get_items_expected_max() == 0 || o.get_type_size_max() == 0 ? "" : type.substr(0, type.find(':'));
}

/// What {...} holds in the type.
std::vector<std::string> choices(const CLI::Option& o) {
  const std::string type = o.get_type_name();
  const auto open = type.find('{'), close = type.find('}');
  std::vector<std::string> all;
  if (open == std::string::npos || close == std::string::npos) return all;
  std::istringstream list(type.substr(open + 1, close - open - 1));
  for (std::string one; std::getline(list, one, ',');) all.push_back(one);
  return all;
}

std::string description(const CLI::Option& o) {
  std::string text = o.get_description();
  if (const auto all = choices(o); !all.empty()) text += fmt::format("; one of {}", fmt::join(all, ", "));
  if (!o.get_default_str().empty()) text += fmt::format("; default: {}", o.get_default_str());
  for (const CLI::Option* other : o.get_needs()) text += "; with " + other->get_name();
  return text;
}

/// "--format FORMAT", "-h, --help", "FILE".
std::pair<std::string, std::string> name_and_value(const CLI::Option& o) {
  if (o.get_positional()) return {"", o.get_name(true)};
  std::vector<std::string> names;
  for (const std::string& name : o.get_snames()) names.push_back("-" + name);
  for (const std::string& name : o.get_lnames()) names.push_back("--" + name);
  return {fmt::format("{}", fmt::join(names, ", ")), value_name(o)};
}

std::vector<const CLI::Option*> options(const CLI::App& app, bool positional) {
  return app.get_options([positional](const CLI::Option* o) { return o->get_positional() == positional; });
}

std::vector<const CLI::App*> commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

/// "synfp read"; the program's own name alone.
std::string full_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : full_name(*app.get_parent()) + ' ' + app.get_name();
}

/// What follows the name, a word each.
std::vector<std::string> synopsis(const CLI::App& app) {
  if (!commands(app).empty()) return {"COMMAND", "[OPTIONS]"};
  std::vector<std::string> words{"[OPTIONS]"};
  for (const CLI::Option* o : options(app, true)) {
    const std::string name = o->get_name(true);
    words.push_back(
        o->get_required() ? name : fmt::format("[{}{}]", name, o->get_items_expected_max() > 1 ? "..." : ""));
  }
  if (app.get_footer().find("-- COMMAND") != std::string::npos) words.emplace_back("-- COMMAND ARGUMENT ...");
  return words;
}

/// `text` in lines that end before `columns`, each behind `indent` spaces but the first.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::istringstream words{std::string(text)};
  std::string out;
  std::size_t at = indent;
  for (std::string word; words >> word;) {
    if (at != indent && at + 1 + word.size() > columns) {
      out += fmt::format("\n{:{}}", "", indent);
      at = indent;
    }
    if (at != indent) {
      out += ' ';
      ++at;
    }
    out += word;
    at += word.size();
  }
  return out;
}

std::string help_line(const std::string& name, std::string_view text) {
  constexpr std::size_t indent = 24;
  const bool fits = name.size() + 4 <= indent;
  return fmt::format("  {}{}{:{}}{}\n", name, fits ? "" : "\n", "", fits ? indent - 2 - name.size() : indent,
                     wrapped(text, indent));
}

/// As it is, for man(7).
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'' && (out.empty() || out.back() == '\n')) {
      out += "\\&'";
    } else if (c == '.' && (out.empty() || out.back() == '\n')) {
      out += "\\&.";
    } else {
      out += c;
    }
  }
  return out;
}

std::string dashed(std::string text) {
  std::replace(text.begin(), text.end(), ' ', '-');
  return text;
}

struct footer {
  std::string text, exit_status, examples;
};

footer split(const std::string& text) {
  footer parts;
  std::istringstream lines(text);
  std::string* now = &parts.text;
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view status = "Exit status: ";
    if (line.rfind(status, 0) == 0) {
      now = &parts.exit_status;
      line.erase(0, status.size());
    }
    if (line.rfind("  ", 0) == 0) {
      parts.examples += escaped(line.substr(2)) + '\n';
    } else if (line.empty()) {
      if (now == &parts.text) *now += ".PP\n";
    } else {
      *now += escaped(line) + '\n';
    }
  }
  return parts;
}

}  // namespace

std::string version() {
  return fmt::format("{}.{}.{}", SYNFP_VERSION_MAJOR, SYNFP_VERSION_MINOR, SYNFP_VERSION_PATCH);
}

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (file.flush()) return true;
  std::perror(path.c_str());
  return false;
}

std::string help(const CLI::App& app) {
  std::string out = fmt::format("{}\n\nUsage: {} {}\n", app.get_description(), full_name(app),
                                fmt::join(synopsis(app), " "));
  if (const auto all = options(app, true); !all.empty()) out += '\n';
  for (const CLI::Option* o : options(app, true)) out += help_line(o->get_name(true), description(*o));
  if (const auto all = commands(app); !all.empty()) {
    out += "\nCommands:\n";
    for (const CLI::App* command : all) out += help_line(command->get_name(), command->get_description());
  }
  out += "\nOptions:\n";
  for (const CLI::Option* o : options(app, false)) {
    const auto [name, value] = name_and_value(*o);
    out += help_line(value.empty() ? name : fmt::format("{} {}", name, value), description(*o));
  }
  if (!app.get_footer().empty()) out += '\n' + app.get_footer() + '\n';
  return out;
}

std::string man_page(const CLI::App& app, int section, const std::vector<std::string>& see_also) {
  const std::string name = dashed(full_name(app));
  std::string upper = name;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  std::string out = fmt::format(".TH {} {} \"\" \"synfp {}\" \"{}\"\n", upper, section, version(),
                                section == 8 ? "System Administration" : "User Commands");
  out += fmt::format(".SH NAME\n{} \\- {}\n", escaped(name), escaped(app.get_description()));
  out += fmt::format(".SH SYNOPSIS\n.B {}\n", escaped(full_name(app)));
  for (const std::string& word : synopsis(app)) out += escaped(word) + '\n';
  const footer text = split(app.get_footer());
  if (!text.text.empty()) out += ".SH DESCRIPTION\n" + text.text;
  if (const auto all = commands(app); !all.empty()) {
    out += ".SH COMMANDS\n";
    for (const CLI::App* command : all)
      out += fmt::format(".TP\n.B {}\n{}; see\n.BR {} (1)\n", command->get_name(),
                         escaped(command->get_description()), escaped(dashed(full_name(*command))));
  }
  out += ".SH OPTIONS\n";
  for (const bool positional : {true, false}) {
    for (const CLI::Option* o : options(app, positional)) {
      const auto [option, value] = name_and_value(*o);
      out +=
          fmt::format(".TP\n\\fB{}\\fR{}\\fI{}\\fR\n{}\n", escaped(option),
                      option.empty() || value.empty() ? "" : " ", escaped(value), escaped(description(*o)));
    }
  }
  if (!text.exit_status.empty()) out += ".SH EXIT STATUS\n" + text.exit_status;
  if (!text.examples.empty()) out += ".SH EXAMPLES\n.nf\n" + text.examples + ".fi\n";
  std::vector<std::string> related = see_also;
  const CLI::App& top = app.get_parent() == nullptr ? app : *app.get_parent();
  if (&top != &app) related.push_back(top.get_name());
  for (const CLI::App* command : commands(top)) {
    if (command != &app) related.push_back(dashed(full_name(*command)));
  }
  out += ".SH SEE ALSO\n";
  for (const std::string& one : related)
    out += fmt::format(".BR {} (1){}\n", escaped(one), one == related.back() ? "" : ",");
  return out;
}

std::string bash_completion(const CLI::App& app) {
  const auto words_of = [](const CLI::App& of) {
    std::vector<std::string> words;
    for (const CLI::Option* o : options(of, false)) {
      for (const std::string& name : o->get_lnames()) words.push_back("--" + name);
    }
    return fmt::format("{}", fmt::join(words, " "));
  };
  std::vector<std::string> names;
  for (const CLI::App* command : commands(app)) names.push_back(command->get_name());
  const std::string& program = app.get_name();
  std::string out = fmt::format(
      R"(# Completes the command line of {0}. Made by its build.
_{0}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words='' kind=''
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "{1} {2}" -- "$current")
    return
  fi
  if [[ " ${{COMP_WORDS[*]:2:COMP_CWORD-2}} " == *" -- "* ]]; then
    mapfile -t COMPREPLY < <(compgen -c -f -- "$current")
    return
  fi
  case ${{COMP_WORDS[1]}}:$before in
)",
      program, fmt::join(names, " "), words_of(app));
  for (const CLI::App* command : commands(app)) {
    for (const CLI::Option* o : options(*command, false)) {
      const std::string value = value_name(*o);
      if (value.empty()) continue;
      std::string action = ":";
      if (const auto all = choices(*o); !all.empty())
        action = fmt::format("words=\"{}\"", fmt::join(all, " "));
      if (value == "FILE") action = "kind=-f";
      if (value == "DIR") action = "kind=-d";
      if (value == "INTERFACE") action = "words=$(ls /sys/class/net)";
      out += fmt::format("    {}:{}) {} ;;\n", command->get_name(), o->get_name(), action);
    }
  }
  out += "    *)\n      case ${COMP_WORDS[1]} in\n";
  for (const CLI::App* command : commands(app)) {
    const auto positionals = options(*command, true);
    const bool file = !positionals.empty() && positionals[0]->get_name(true) == "FILE";
    out += fmt::format("        {}) words=\"{}\"{} ;;\n", command->get_name(), words_of(*command),
                       file ? " kind=-f" : "");
  }
  out += fmt::format(
      R"(      esac
      ;;
  esac
  [[ $kind && $current != -* ]] && compopt -o filenames && words=''
  mapfile -t COMPREPLY < <(compgen $kind -W "$words" -- "$current")
}}
complete -F _{0} {0}
)",
      program);
  return out;
}

}  // namespace cli
