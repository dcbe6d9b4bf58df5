import { render } from 'preact';
import { App } from './app.tsx';
import { follow } from './live.ts';
import './styles/tokens.css';
import './styles/page.css';
import './styles/chain.css';
import './styles/sections.css';

const page = document.getElementById('page');
if (page === null) throw new Error('index.html has no #page');
follow();
render(<App />, page);
