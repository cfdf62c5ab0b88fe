/**
 * Shorter text of SVG attributes with the same meaning: numbers, path data, transforms and styles.
 *
 * Promises  Commands, their order and their coordinates stay; only their spelling changes. A number keeps nine
 *           significant digits, more than the single precision in which renderers compute, so that the scale at which
 *           an image is drawn does not matter. A value that is not understood stays as it is.
 * Source: SVG 1.1, 4.2 and 8.3.9; SVG 2, 9.3.
 */
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

const DIGITS_MAX = 9
const NUMBER = /[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
const ONLY_NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/
const SEPARATOR = /[\s,]*/y
const FUNCTION = /[\s,]*([a-zA-Z]+)\s*\(([^()]*)\)[\s,]*/y

/** How many numbers each command of a path takes at a time. */
const ARGUMENTS: Readonly<Record<string, number>> = { m: 2, l: 2, h: 1, v: 1, c: 6, s: 4, q: 4, t: 2, a: 7, z: 0 }
/** Arguments of an arc that are one digit. */
const ARC_FLAGS: ReadonlySet<number> = new Set([3, 4])

const NUMERIC = new Set(
  (
    "x y width height cx cy r rx ry x1 y1 x2 y2 fx fy offset stroke-width stroke-miterlimit stroke-dashoffset opacity " +
    "fill-opacity stroke-opacity stop-opacity flood-opacity stdDeviation"
  ).split(" "),
)
const TRANSFORMS = new Set(["transform", "gradientTransform", "patternTransform"])
/** Editors' own properties, which renderers do not know. */
const EDITOR_PROPERTY = /^-?(inkscape|sodipodi)-/

/** The value of an attribute, shorter if possible. */
export function shortAttribute(name: string, value: string): string {
  const short = shortened(name, value)
  return short !== undefined && short.length < value.length ? short : value
}

function shortened(name: string, value: string): string | undefined {
  if (name === "d") return shortPath(value)
  if (name === "points") return shortList(value)
  if (name === "style") return shortStyle(value)
  if (TRANSFORMS.has(name)) return shortTransform(value)
  if (NUMERIC.has(name)) return ONLY_NUMBER.test(value.trim()) ? shortNumber(value.trim()) : undefined
  return undefined
}

/** A number in as few characters as its first nine significant digits need; one with an exponent as it is. */
export function shortNumber(text: string): string {
  if (/e/i.test(text)) return text
  const digits = text.replace(/^[+-]/, "").replace(".", "").replace(/^0+/, "").length
  const rounded = digits > DIGITS_MAX ? Number(text).toPrecision(DIGITS_MAX) : text
  if (/e/i.test(rounded)) return text
  const [, sign = "", zerosAndWhole = "", part = ""] = /^([+-]?)(\d*)(?:\.(\d*))?$/.exec(rounded) ?? []
  const whole = zerosAndWhole.replace(/^0+/, "")
  const fraction = withoutTrailing(part, "0")
  if (whole === "" && fraction === "") return "0"
  return `${sign === "-" ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`
}

/** Numbers with the least between them. */
function joined(numbers: readonly string[]): string {
  return numbers.reduce((text, next, i) => {
    const before = numbers[i - 1] ?? ""
    const isApart =
      i === 0 || next.startsWith("-") || (next.startsWith(".") && before.includes(".") && !/e/i.test(before))
    return `${text}${isApart ? "" : " "}${next}`
  }, "")
}

class Scanner {
  at = 0

  constructor(private readonly text: string) {}

  get isAtEnd(): boolean {
    return this.at >= this.text.length
  }

  match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)
    if (found === null) return undefined
    this.at = pattern.lastIndex
    return found
  }

  number(): string | undefined {
    const number = this.match(NUMBER)?.[0]
    this.match(SEPARATOR)
    return number === undefined ? undefined : shortNumber(number)
  }

  flag(): string | undefined {
    const flag = this.match(/[01]/y)?.[0]
    this.match(SEPARATOR)
    return flag
  }
}

function shortList(value: string): string | undefined {
  const scanner = new Scanner(value.trim())
  const numbers: string[] = []
  while (!scanner.isAtEnd) {
    const number = scanner.number()
    if (number === undefined) return undefined
    numbers.push(number)
  }
  return joined(numbers)
}

function shortPath(value: string): string | undefined {
  const scanner = new Scanner(value.trim())
  let text = ""
  let before: { readonly command: string; readonly numbers: readonly string[] } | undefined
  while (!scanner.isAtEnd) {
    const command = scanner.match(/[a-zA-Z]/y)?.[0]
    const numbers = command === undefined ? undefined : argumentsOf(scanner, command)
    if (command === undefined || numbers === undefined) return undefined
    // After a move, more numbers are lines.
    const isSame = before?.command === command && !/[mz]/i.test(command)
    if (isSame && before !== undefined) before = { command, numbers: [...before.numbers, ...numbers] }
    else {
      if (before !== undefined) text += before.command + joined(before.numbers)
      before = { command, numbers }
    }
  }
  return before === undefined ? undefined : text + before.command + joined(before.numbers)
}

/** The numbers after a command; undefined unless they are complete. */
function argumentsOf(scanner: Scanner, command: string): readonly string[] | undefined {
  const kind = command.toLowerCase()
  const count = ARGUMENTS[kind]
  if (count === undefined) return undefined
  scanner.match(/\s*/y)
  const numbers: string[] = []
  for (;;) {
    const isFlag = kind === "a" && ARC_FLAGS.has(numbers.length % count)
    const number = count === 0 ? undefined : isFlag ? scanner.flag() : scanner.number()
    if (number === undefined) break
    numbers.push(number)
  }
  scanner.match(/\s*/y)
  return (count === 0 ? 0 : numbers.length % count) === 0 && (count === 0 || numbers.length > 0) ? numbers : undefined
}

function shortTransform(value: string): string | undefined {
  const scanner = new Scanner(value)
  const functions: string[] = []
  while (!scanner.isAtEnd) {
    const [, name, list = ""] = scanner.match(FUNCTION) ?? []
    const numbers = shortList(list)
    if (name === undefined || numbers === undefined) return undefined
    functions.push(`${name}(${numbers})`)
  }
  return functions.join("")
}

/** Declarations of a style attribute; those of editors go. */
function shortStyle(value: string): string | undefined {
  if (/\\|\/\*/.test(value)) return undefined
  const declarations = value.match(/(?:[^;"'()]|"[^"]*"|'[^']*'|\([^()]*\))+/g) ?? []
  const rest = value.replaceAll(/(?:[^;"'()]|"[^"]*"|'[^']*'|\([^()]*\))+/g, "")
  if (!/^;*$/.test(rest)) return undefined
  return declarations
    .map(declaration => {
      const colon = declaration.indexOf(":")
      const [name, set] = [declaration.slice(0, colon).trim(), declaration.slice(colon + 1).trim()]
      return colon < 0 || EDITOR_PROPERTY.test(name)
        ? declaration.trim().slice(0, colon < 0 ? undefined : 0)
        : `${name}:${shortSetting(set)}`
    })
    .filter(declaration => declaration !== "")
    .join(";")
}

function shortSetting(set: string): string {
  if (ONLY_NUMBER.test(set)) return shortNumber(set)
  return set.replace(/^#([0-9a-f])\1([0-9a-f])\2([0-9a-f])\3$/i, "#$1$2$3")
}
