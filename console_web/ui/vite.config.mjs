// One page per HTML file in this folder; the build lands in ../static, which the server serves.
import { readdirSync } from 'node:fs'
import { fileURLToPath, URL } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

const here = fileURLToPath(new URL('.', import.meta.url))
const pages = readdirSync(here).filter((name) => name.endsWith('.html'))
const server = process.env.D120_SERVER ?? 'http://127.0.0.1:8120'

export default defineConfig({
  root: here,
  base: '/',
  plugins: [vue()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    outDir: '../static',
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 700,
    rolldownOptions: {
      input: Object.fromEntries(pages.map((name) => [name.replace('.html', ''), here + name])),
    },
  },
  server: {
    proxy: {
      '/api': { target: server, ws: true },
      '/map': server,
    },
  },
})
