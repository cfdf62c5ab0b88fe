/** Tags as people edit them: one `key=value` on a line. Pure. */

export type TagList = readonly (readonly [key: string, value: string])[]

export const tagsOfText = (text: string): TagList =>
  text
    .split("\n")
    .filter(line => line.trim() !== "")
    .map(line => {
      const at = line.indexOf("=")
      return at < 0 ? ([line.trim(), ""] as const) : ([line.slice(0, at).trim(), line.slice(at + 1).trim()] as const)
    })

export const textOfTags = (tags: TagList): string => tags.map(([key, value]) => `${key}=${value}`).join("\n")
