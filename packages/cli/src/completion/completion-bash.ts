/**
 * The completion script of bash. Pure.
 *
 * Promises  Works with bash 3.2 (macOS) and without the package bash-completion. Values after "=", and values with ":"
 *           inside, are completed although bash separates words there (`COMP_WORDBREAKS`).
 */
import { allCommands, type CompletedCommand, type CompletedValues } from "./completion.js"

const COUNTS = { one: "", oneOrNone: "~", many: "+" } as const

const valuesText = (values: CompletedValues): string => (typeof values === "string" ? `@${values}` : values.join("|"))

/** `--json`, `--config=@file`, `--matrix=a|b`, `--allow-acls=~yes|no`, `--from=+@folder`. */
function optionTexts({ names, value }: CompletedCommand["options"][number]): readonly string[] {
  if (value === undefined) return names
  return names.map(name => `${name}=${COUNTS[value.count]}${valuesText(value.values)}`)
}

function entryText({ path, commands, options, arguments: all }: CompletedCommand): string {
  const words = [
    `commands='${commands.map(({ name }) => name).join(" ")}'`,
    `options='${options.flatMap(optionTexts).join(" ")}'`,
    `arguments='${all.map(({ values, isVariadic }) => `${isVariadic ? "+" : ""}${valuesText(values)}`).join(" ")}'`,
  ]
  return `    '${path.join(" ")}')\n${words.map(word => `      ${word}\n`).join("")}      ;;\n`
}

const BEFORE = `# Completion of hayloft for bash.
# Written by "hayloft completion bash"; it starts no process when you press Tab.

# Sets commands, options and arguments of the command with this path. A value is @file, @folder, @place, @object, @text,
# or words with | between them; ~ before it: may be absent; + before it: one or more.
_hayloft_entry() {
  case "$1" in
`

const AFTER = `  esac
}

# Sets value to that of an option, empty if it has none; fails if there is no such option.
_hayloft_value_of() {
  local option
  for option in $options; do
    if [[ "\${option%%=*}" == "$1" ]]; then
      value=''
      [[ "$option" == *=* ]] && value=\${option#*=}
      return 0
    fi
  done
  return 1
}

# Offers the words that begin with what is typed. bash keeps what it has separated before the current word.
_hayloft_offer() {
  local word
  for word in $1; do
    [[ "$word" == "$typed"* ]] && COMPREPLY+=("\${word#"$kept"}")
  done
}

# Files (-f) or folders (-d): by readline where it can (since bash 4), which also quotes names.
_hayloft_files() {
  local name readline=default
  [[ "$1" == -d ]] && readline=dirnames
  compopt -o "$readline" 2> /dev/null && return
  while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen "$1" -- "\${typed#"$before"}")
}

_hayloft_offer_values() {
  case "\${1#[~+]}" in
    @file) _hayloft_files -f ;;
    @folder) _hayloft_files -d ;;
    @place | @object)
      if [[ "\${1#[~+]}" == @place && ( -z "$typed" || s3:// != "$typed"* || -n "$(compgen -f -- "$typed")" ) ]]; then
        _hayloft_files -f
      else
        compopt -o nospace 2> /dev/null
        _hayloft_offer s3://
      fi
      ;;
    @text) ;;
    *)
      local words=\${1#[~+]} word
      local offered=''
      for word in \${words//|/ }; do offered+=" $before$word"; done
      _hayloft_offer "$offered"
      ;;
  esac
}

_hayloft() {
  local IFS=$' \\t\\n'
  local commands options arguments value typed kept last before='' path='' awaited='' only='' word i joins=''
  local -a words=()
  COMPREPLY=()

  # Puts together what bash has separated at = and :.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]-}
    if [[ \${#words[@]} -gt 1 && ( ( -n "$joins" && -n "$word" ) || "$word" =~ ^[=:]+$ ) ]]; then
      words[\${#words[@]}-1]+=$word
    else
      words+=("$word")
    fi
    joins=''
    [[ "$word" =~ ^[=:]+$ ]] && joins=yes
  done
  typed=\${words[\${#words[@]}-1]}
  last=\${COMP_WORDS[COMP_CWORD]-}
  [[ "$last" =~ ^[=:]+$ ]] && last=''
  kept=\${typed%"$last"}

  # Follows the words before: to the command, past options and their values, to the position among the arguments.
  local position=0
  _hayloft_entry ''
  for ((i = 1; i < \${#words[@]} - 1; i++)); do
    word=\${words[i]}
    if [[ -n "$awaited" ]]; then
      if [[ "$awaited" != [~+]* ]]; then
        awaited=''
        continue
      fi
      if [[ "$word" != -* ]]; then
        [[ "$awaited" == ~* ]] && awaited=''
        continue
      fi
      awaited=''
    fi
    if [[ -z "$only" && "$word" == -- ]]; then
      only=arguments
    elif [[ -z "$only" && "$word" == -* ]]; then
      [[ "$word" != *=* ]] && _hayloft_value_of "$word" && awaited=$value
    elif [[ -n "$commands" ]]; then
      [[ " $commands " == *" $word "* ]] || return 0
      path="\${path:+$path }$word"
      _hayloft_entry "$path"
    else
      position=$((position + 1))
    fi
  done

  if [[ -n "$awaited" && ( "$awaited" != [~+]* || "$typed" != -* ) ]]; then
    _hayloft_offer_values "$awaited"
  elif [[ -z "$only" && "$typed" == -*=* ]]; then
    before=\${typed%%=*}=
    _hayloft_value_of "\${typed%%=*}" && [[ -n "$value" ]] && _hayloft_offer_values "$value"
  elif [[ -z "$only" && "$typed" == -* ]]; then
    for word in $options; do _hayloft_offer "\${word%%=*}"; done
  elif [[ -n "$commands" ]]; then
    _hayloft_offer "$commands"
  else
    for word in $arguments; do
      if [[ $position -eq 0 || "$word" == +* ]]; then
        _hayloft_offer_values "$word"
        break
      fi
      position=$((position - 1))
    done
  fi
}

complete -F _hayloft hayloft
`

/** `program` is the whole program. */
export const bashScript = (program: CompletedCommand): string =>
  `${BEFORE}${[...allCommands(program)].map(entryText).join("")}${AFTER}`
