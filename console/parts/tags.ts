/** Tags as people edit them: one `key=value` on a line; `\=` in a key stands for a sign that is a part of it. Pure. */

export type TagList = readonly (readonly [key: string, value: string])[]

export const tagsOfText = (text: string): TagList =>
  text
    .split("\n")
    .filter(line => line.trim() !== "")
    .map(line => {
      const at = line.search(/(?<!\\)=/)
      const key = at < 0 ? line : line.slice(0, at)
      const value = at < 0 ? "" : line.slice(at + 1)
      return [key.trim().replaceAll("\\=", "="), value.trim()] as const
    })

export const textOfTags = (tags: TagList): string =>
  tags.map(([key, value]) => `${key.replaceAll("=", "\\=")}=${value}`).join("\n")
