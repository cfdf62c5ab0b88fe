/** The completion script of zsh: a file for `fpath`, or to be sourced. Pure. */
import { allCommands, type CompletedCommand, type CompletedValues } from "./completion.js"

/** Quotes a text as one word of the shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** Backslashes before what `_arguments` reads itself. */
const escaped = (text: string, characters: RegExp): string => text.replace(characters, character => `\\${character}`)
const explained = (text: string): string => escaped(text, /[[\]\\]/g)
const message = (text: string): string => escaped(text, /[:\\]/g)

function actionOf(values: CompletedValues): string {
  if (typeof values !== "string") return `(${values.map(word => escaped(word, /[:()\\]/g)).join(" ")})`
  const actions = {
    file: "_files",
    folder: "_files -/",
    place: "_hayloft_place",
    object: "_hayloft_object",
    text: " ",
  } as const
  return actions[values]
}

const AFTER_NAME = { one: ":", oneOrNone: "::", many: ":" } as const

function optionText({ names, description, isRepeatable, value }: CompletedCommand["options"][number]): string {
  const after =
    value === undefined ? "" : `${AFTER_NAME[value.count]}${message(value.placeholder)}:${actionOf(value.values)}`
  const text = quoted(`[${explained(description)}]${after}`)
  const equals = value === undefined ? "" : "="
  const spelled = names.map(name => `${name}${name.startsWith("--") ? equals : ""}`)
  if (isRepeatable) return spelled.map(name => `'*${name}'${text}`).join(" ")
  return spelled.map(name => `'(${names.join(" ")})${name}'${text}`).join(" ")
}

function argumentText({ placeholder, values, isRequired, isVariadic }: CompletedCommand["arguments"][number]): string {
  const before = isVariadic ? "*:" : isRequired ? ":" : "::"
  return quoted(`${before}${message(placeholder)}:${actionOf(values)}`)
}

const functionOf = (path: readonly string[]): string => ["_hayloft", ...path].join("_")

/**
 * After an option of several values `_arguments` would complete nothing but values, so only its first one is of the option
 * here: the others are completed as arguments, which no command has beside such an option.
 */
const furtherTexts = ({ options }: CompletedCommand): readonly string[] =>
  options
    .flatMap(({ value }) => (value?.count === "many" ? value : []))
    .map(({ placeholder, values }) => argumentText({ placeholder, values, isRequired: false, isVariadic: true }))
    .slice(0, 1)

const leafText = (command: CompletedCommand): string => `
${functionOf(command.path)}() {
  _arguments -s -S : \\
${[...command.options.map(optionText), ...command.arguments.map(argumentText), ...furtherTexts(command)].map(spec => `    ${spec}`).join(" \\\n")}
}
`

const groupText = ({ path, options, commands }: CompletedCommand): string => `
${functionOf(path)}() {
  local curcontext="$curcontext" state line
  local -a commands
  typeset -A opt_args
  _arguments -C : \\
${options.map(option => `    ${optionText(option)} \\\n`).join("")}    '1: :->command' '*:: :->rest'
  case "$state" in
    command)
      commands=(
${commands.map(({ name, description }) => `        ${quoted(`${escaped(name, /[:\\]/g)}:${description}`)}\n`).join("")}      )
      _describe -t commands command commands
      ;;
    rest)
      (( $+functions[${functionOf(path)}_$line[1]] )) && ${functionOf(path)}_$line[1]
      ;;
  esac
}
`

/** `program` is the whole program. */
export const zshScript = (program: CompletedCommand): string => `#compdef hayloft
# Completion of hayloft for zsh.
# Written by "hayloft completion zsh"; it starts no process when you press Tab.

_hayloft_object() { compadd "$@" -S '' -- s3:// }
_hayloft_place() { _alternative 'objects:place in a store:_hayloft_object' 'files:file:_files' }
${[...allCommands(program)].map(command => (command.commands.length === 0 ? leafText(command) : groupText(command))).join("")}
# A file of fpath is the function itself; sourced, it has to be registered.
if [[ "$funcstack[1]" == _hayloft ]]; then
  _hayloft "$@"
else
  compdef _hayloft hayloft
fi
`
