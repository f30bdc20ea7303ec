// Figures that were measured, as files.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { here, repo } from './lib.mjs';

export const pageFolder = join(here, 'page');
const published = join(pageFolder, 'figures.json');
const latest = join(repo, 'build', 'bench.json');

const write = (file, figures) => writeFileSync(file, `${JSON.stringify(figures, null, 1)}\n`);

/** Those that the README shows, or of another file, relative to the repository. */
export function readFigures(file) {
  const path = file ? resolve(repo, file) : published;
  if (!existsSync(path))
    throw new Error(`there is no ${path}: ./dev bench --markdown makes tests/bench/page/figures.json, ` +
      'each run of ./dev bench build/bench.json');
  return JSON.parse(readFileSync(path, 'utf8'));
}

export const writeFigures = (figures) => write(published, figures);
export const keepFigures = (figures) => write(latest, figures);
