/** Icons as inline SVG, drawn in the colour of the text. They are decoration: the text beside them says what they mean. */
const PATHS = {
  alert: "M12 3 2 20h20L12 3zm0 6v5m0 3v.5",
  audit: "M7 3h10a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H7a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zm2 5h6m-6 4h6m-6 4h3",
  bucket: "M4 6h16l-2 14H6L4 6zm0 0c0-4 16-4 16 0",
  check: "m5 12 5 5 9-10",
  chevron: "m9 6 6 6-6 6",
  close: "M6 6l12 12M18 6 6 18",
  device: "M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.01M7.5 16h.01",
  download: "M12 4v11m-5-5 5 5 5-5M5 20h14",
  archive: "M4 5h16v4H4zM5.500 9v10h13V9M10 13h4",
  code: "m8 8-4 4 4 4m8-8 4 4-4 4",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  down: "m7 10 5 5 5-5",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
  film: "M4 5h16v14H4zM10 9l5 3-5 3z",
  folder: "M4 5h6l2 2h8v12H4z",
  home: "m4 11 8-7 8 7M6 10v10h12V10M10 20v-6h4v6",
  identity: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zm-8 9c0-4 4-6 8-6s8 2 8 6",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zm0-10v5m0-8v.5",
  jobs: "M4 6h10M4 12h16M4 18h7M17 4v4M13 16v4",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  menu: "M4 7h16M4 12h16M4 17h16",
  more: "M12 5v.8M12 11.600v.8M12 18.200v.8",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 4M15 9h.01",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zm5-2 4.500 4.500",
  sound:
    "M9 18V6l10-2v12M9 18a2.500 2.500 0 1 1-5 0 2.500 2.500 0 0 1 5 0zm10-2a2.500 2.500 0 1 1-5 0 2.500 2.500 0 0 1 5 0z",
  upload: "M12 16V4m-5 5 5-5 5 5M4 20h16",
  minus: "M5 12h14",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  objects: "M4 5h6l2 2h8v12H4z",
  pause: "M9 5v14m6-14v14",
  play: "M8 5v14l11-7z",
  queue: "M4 5h16v4H4zM4 12h16M4 16h16M4 20h10",
  refresh: "M20 11a8 8 0 1 0-2.3 6M20 5v6h-6",
  remote: "M7 18h10a4 4 0 0 0 .5-8A6 6 0 0 0 6 9.500 4.300 4.300 0 0 0 7 18z",
  safety: "M12 3 5 6v5c0 5 3 8.5 7 10 4-1.500 7-5 7-10V6l-7-3z",
  signOut: "M14 4H6v16h8M10 12h10m-3-3 3 3-3 3",
  simulate: "M4 20V10m5 10V4m5 16v-7m5 7V8",
  sort: "m8 10 4-4 4 4M8 14l4 4 4-4",
  sortDown: "m8 10 4 4 4-4",
  sortUp: "m8 14 4-4 4 4",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2m0 16v2M4.900 4.900l1.400 1.400m11.400 11.400 1.400 1.400M2 12h2m16 0h2M4.900 19.100l1.400-1.400M17.700 6.300l1.400-1.400",
  system: "M4 5h16v11H4zM9 20h6m-3-4v4",
  transform: "M4 8h14m-4-4 4 4-4 4M20 17H6m4-4-4 4 4 4",
  traffic: "M3 12h4l3-8 4 16 3-8h4",
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  )
}
