// Figures that were measured, as files.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { here, repo } from './lib.mjs';

export const pageFolder = join(here, 'page');
const published = join(pageFolder, 'figures.json');
const latest = join(repo, 'build', 'bench.json');

const write = (file, figures) => writeFileSync(file, `${JSON.stringify(figures, null, 1)}\n`);

/**
 * Those of a file, relative to the repository; or else those that the README shows; or of the last
 * run.
 */
export function readFigures(file) {
  const path = file ? resolve(repo, file) : [published, latest].find(existsSync);
  if (!path) throw new Error('there are no figures: ./dev bench makes some');
  return JSON.parse(readFileSync(path, 'utf8'));
}

export const writeFigures = (figures) => write(published, figures);
export const keepFigures = (figures) => write(latest, figures);
