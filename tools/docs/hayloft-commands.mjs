/** The `hayloft` commands that a document names in its code, compared with the program. */
import { fencedBlocks } from "./markdown.mjs"

/** In a shell: where a command may begin. */
const IN_SHELL = /(?:^|[|;&(]\s*|\.\/bin\/)(?:\w+=\S*\s+)*hayloft((?: +[^\s'"|;&)#]+)+)/g
const IN_PROSE = /`(?:\.\/bin\/)?hayloft((?: +[^\s`'"]+)+)[^`]*`/g
const WORD = /^[a-z][a-z-]*(?:\|[a-z][a-z-]*)*$/

/** `{ words, line }` of each command line: in inline code that begins with hayloft, and in shell blocks. */
export function namedCommands(text) {
  const named = []
  const namedIn = (line, pattern, number) => {
    for (const [, rest] of line.matchAll(pattern)) named.push({ words: rest.trim().split(/ +/), line: number })
  }
  let isFenced = false
  text.split("\n").forEach((line, index) => {
    if (/^\s*(```|~~~)/.test(line)) isFenced = !isFenced
    else if (!isFenced) namedIn(line, IN_PROSE, index + 1)
  })
  for (const { info, text: script, line } of fencedBlocks(text)) {
    if (!/^sh\b/.test(info)) continue
    script.split("\n").forEach((shell, index) => namedIn(shell.trim(), IN_SHELL, line + 1 + index))
  }
  return named.toSorted((a, b) => a.line - b.line)
}

/** Returns what is wrong with a command line, as a sentence; undefined if it fits `program`, a commander command. */
export function problemOf(words, program) {
  let commands = [program]
  let at = 0
  // `quota set|show` names two commands.
  for (; commands.every(command => command.commands.length > 0) && WORD.test(words[at] ?? ""); at += 1) {
    const names = words[at].split("|")
    const inner = commands.flatMap(command => command.commands)
    const gone = names.find(name => inner.every(command => command.name() !== name))
    // A command that has others may take arguments, too.
    if (gone !== undefined && commands.every(command => command.registeredArguments.length > 0)) break
    if (gone !== undefined) return `there is no command "hayloft ${[...words.slice(0, at), gone].join(" ")}"`
    commands = inner.filter(command => names.includes(command.name()))
  }
  const known = new Set(commands.flatMap(command => command.options.map(({ long }) => long)))
  const gone = words
    .slice(at)
    .map(word => /^--[a-z][a-z-]*/.exec(word)?.[0] ?? "--help")
    .find(name => name !== "--help" && !known.has(name))
  return gone === undefined ? undefined : `"${["hayloft", ...words.slice(0, at)].join(" ")}" has no option ${gone}`
}
