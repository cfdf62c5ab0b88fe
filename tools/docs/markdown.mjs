/** The parts of Markdown that the checks need: lines outside code, links, headings, fenced blocks. */

const FENCE = /^(\s*)(```+|~~~+)(.*)$/

/** Returns the text with code (fenced and inline) and comments blanked out; line numbers stay. */
export function proseOf(text) {
  let fence
  const lines = text.split("\n").map(line => {
    const match = FENCE.exec(line)
    if (fence !== undefined) {
      if (match !== null && match[2].startsWith(fence) && match[3].trim() === "") fence = undefined
      return ""
    }
    if (match !== null) {
      fence = match[2]
      return ""
    }
    return line.replaceAll(/`[^`]*`/g, "``")
  })
  return lines.join("\n").replaceAll(/<!--[\s\S]*?-->/g, comment => comment.replaceAll(/[^\n]/g, ""))
}

/** `{ info, text, line }` of each fenced block. */
export function fencedBlocks(text) {
  const blocks = []
  let open
  text.split("\n").forEach((line, index) => {
    const match = FENCE.exec(line)
    if (open !== undefined && match !== null && match[2].startsWith(open.fence) && match[3].trim() === "") {
      blocks.push({ info: open.info, text: open.lines.join("\n"), line: open.line })
      open = undefined
    } else if (open !== undefined) {
      open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line)
    } else if (match !== null) {
      open = { indent: match[1], fence: match[2], info: match[3].trim(), lines: [], line: index + 1 }
    }
  })
  return blocks
}

/** `{ target, line }` of each link or image, inline or by reference. */
export function linksOf(text) {
  const links = []
  proseOf(text)
    .split("\n")
    .forEach((line, index) => {
      for (const [, target] of line.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g))
        links.push({ target, line: index + 1 })
      const reference = /^\s{0,3}\[[^\]]+\]:\s*<?(\S+?)>?(\s|$)/.exec(line)
      if (reference !== null) links.push({ target: reference[1], line: index + 1 })
    })
  return links
}

/** Gives the headings of one document their anchors, in order, as common code hosts do. */
export function slugger() {
  const seen = new Map()
  return heading => {
    const slug = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-")
    const count = seen.get(slug) ?? 0
    seen.set(slug, count + 1)
    return count === 0 ? slug : `${slug}-${count}`
  }
}

/** The anchors of all headings of a document. */
export function anchorsOf(text) {
  const slug = slugger()
  const anchors = new Set()
  let fenced = false
  for (const line of text.split("\n")) {
    if (FENCE.test(line)) fenced = !fenced
    const heading = fenced ? null : /^#{1,6}\s+(.*?)\s*#*$/.exec(line)
    if (heading !== null) anchors.add(slug(heading[1]))
  }
  return anchors
}
