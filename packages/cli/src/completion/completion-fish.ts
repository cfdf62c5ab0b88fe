/** The completion script of fish. Pure. */
import { allCommands, type CompletedCommand, type CompletedValues } from "./completion.js"

const quoted = (text: string): string => `'${text.replace(/['\\]/g, character => `\\${character}`)}'`

/** Options of `complete` for the values of an argument. Files are completed only with -F: see the first line of all. */
function valueText(values: CompletedValues): string {
  if (typeof values !== "string") return `-a ${quoted(values.join(" "))}`
  const texts = {
    file: "-F",
    folder: "-a '(__fish_complete_directories)'",
    place: "-F -a 's3://'",
    object: "-a 's3://'",
    text: "",
  } as const
  return texts[values]
}

/**
 * Returns the flags that tell fish whether a value is required, and may be no file. A value that may be absent is
 * offered after "=" only.
 */
function takesText({ count, values }: NonNullable<CompletedCommand["options"][number]["value"]>): string {
  if (count === "oneOrNone") return "-f"
  return values === "file" || values === "place" ? "-r" : "-x"
}

function optionText(at: string, { names, description, value }: CompletedCommand["options"][number]): string {
  const spelled = names.map(name => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
  const takes = value === undefined ? [] : [takesText(value), valueText(value.values)]
  return `complete -c hayloft -n ${at} ${[...spelled, ...takes].filter(word => word !== "").join(" ")} -d ${quoted(description)}\n`
}

function commandText({ path, commands, options, arguments: all }: CompletedCommand): string {
  const at = quoted(`__hayloft_at ${quoted(path.join(" "))}`)
  const texts = [
    ...commands.map(
      ({ name, description }) => `complete -c hayloft -n ${at} -a ${quoted(name)} -d ${quoted(description)}\n`,
    ),
    ...options.map(option => optionText(at, option)),
    ...all
      .map(({ values }) => valueText(values))
      .filter((text, index, every) => text !== "" && every.indexOf(text) === index)
      .map(text => `complete -c hayloft -n ${at} ${text}\n`),
  ]
  return texts.join("")
}

/** `program` is the whole program. */
export const fishScript = (program: CompletedCommand): string => `# Completion of hayloft for fish.
# Written by "hayloft completion fish"; it starts no process when you press Tab.

set -g __hayloft_paths ${[...allCommands(program)]
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => quoted(path.join(" ")))
  .join(" ")}

# Whether the words before the cursor have come to this command and no further.
function __hayloft_at
    set -l path
    for word in (commandline -opc)[2..]
        set -l further (string trim -- "$path $word")
        contains -- $further $__hayloft_paths; and set path $further
    end
    test "$path" = "$argv[1]"
end

complete -c hayloft -f
${[...allCommands(program)].map(commandText).join("")}`
